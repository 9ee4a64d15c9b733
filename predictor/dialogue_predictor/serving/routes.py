"""Every path this server has. What is not listed does not exist, whatever KServe registers."""

import re
from typing import NamedTuple

from dialogue_predictor import names

NAME = r"[^/:]{1,253}"
GET, POST = "GET", "POST"


class Route(NamedTuple):
    pattern: re.Pattern[str]
    method: str
    infers: bool = False
    votes: bool = False
    raw: bool = False  # whether a binary body may come


ROUTES = (
    Route(re.compile("/"), GET),
    Route(re.compile(names.LIVE_PATH), GET),
    Route(re.compile(names.METRICS_PATH), GET),
    Route(re.compile("/v1/models"), GET),
    Route(re.compile(f"/v1/models/{NAME}"), GET),
    Route(re.compile(f"/v1/models/{NAME}:predict"), POST, infers=True),
    Route(re.compile(names.CHAT_PATH), POST, infers=True),
    Route(re.compile(names.FEEDBACK_PATH), POST, votes=True),
    Route(re.compile("/v2"), GET),
    Route(re.compile("/v2/health/(live|ready)"), GET),
    Route(re.compile("/v2/models"), GET),
    Route(re.compile(f"/v2/models/{NAME}"), GET),
    Route(re.compile(names.READY_PATH.format(name=NAME)), GET),
    Route(re.compile(f"/v2/models/{NAME}/infer"), POST, infers=True, raw=True),
)


def find_route(path: str) -> Route | None:
    return next((route for route in ROUTES if route.pattern.fullmatch(path)), None)
