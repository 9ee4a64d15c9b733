"""What may go wrong between an operator and the API server, and what people do meanwhile; each of it passes."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from dialogue_operator import names
from dialogue_operator.cluster.errors import ApiError
from dialogue_operator.cluster.resources import DEPLOYMENT, GRPC_ROUTE, HTTP_ROUTE
from support.inprocess import Key, Workshop
from support.kube import Proxy

Spoil = Callable[[Proxy, random.Random], None]
STORM_SECONDS = 8.0
NOTHING: Any = ""


def _some(share: float, dice: random.Random, *verbs: str, word: str = "") -> Callable[[str, str], bool]:
    """This share of the calls with one of these verbs, or with any, whose path has the word in it."""
    return lambda verb, path: (not verbs or verb in verbs) and word in path and dice.random() < share


def _answers(status: int, share: float, *verbs: str, word: str = "", retry_after: str = "") -> Spoil:
    def spoil(proxy: Proxy, dice: random.Random) -> None:
        proxy.breaks, proxy.status, proxy.retry_after = _some(share, dice, *verbs, word=word), status, retry_after

    return spoil


def _breaks(how: Any, share: float, *verbs: str) -> Spoil:
    def spoil(proxy: Proxy, dice: random.Random) -> None:
        proxy.breaks, proxy.broken = _some(share, dice, *verbs), how

    return spoil


WRITES = ("POST", "PATCH", "PUT", "DELETE")
FAULTS: dict[str, Spoil] = {
    "500 for many": _answers(500, 0.4),
    "503 for writes": _answers(503, 0.6, *WRITES),
    "429, come back in a second": _answers(429, 0.3, retry_after="1"),
    "409 for patches": _answers(409, 0.5, "PATCH"),
    "403 for writes": _answers(403, 0.4, *WRITES),
    "the API of KServe is gone": _answers(404, 1.0, "GET", word="serving.kserve.io"),
    "the API of routes is gone": _answers(404, 1.0, word="gateway.networking"),
    "cut connections": _breaks("refuse", 0.3),
    "calls that hang": _breaks("hang", 0.1),
    "writes whose answer is lost": _breaks("unheard", 0.5, *WRITES),
    "no API server": _breaks("refuse", 1.0),
}


async def storm(
    proxy: Proxy, fault: str, dice: random.Random, after: float = 0.0, seconds: float = STORM_SECONDS
) -> None:
    await asyncio.sleep(after)
    FAULTS[fault](proxy, dice)
    await asyncio.sleep(seconds)
    proxy.broken, proxy.status, proxy.retry_after = NOTHING, 0, ""


async def meddle(workshop: Workshop, key: Key, dice: random.Random, times: int = 6) -> None:
    """A person who changes by hand what the operator looks after."""
    for _ in range(times):
        await asyncio.sleep(dice.uniform(0.2, 1.5))
        resource = dice.choice([HTTP_ROUTE, GRPC_ROUTE, DEPLOYMENT])
        items = await workshop.people.list(resource, key[0], {names.LABEL_MODEL: key[1]})
        if not items:
            continue
        meta = dice.choice(items)["metadata"]
        place = (meta["namespace"], meta["name"])
        try:
            if resource is DEPLOYMENT:
                await workshop.edit(place, {"spec": {"replicas": dice.randint(2, 4)}}, resource)
            elif dice.random() < 0.5:
                await workshop.delete(place, resource)
            else:
                await workshop.edit(
                    place, {"spec": {"rules": [{"backendRefs": [{"name": "nobody", "port": 80}]}]}}, resource
                )
        except ApiError:  # it has just changed, or gone
            continue
