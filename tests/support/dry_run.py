"""Would the API server take this object? Asked for thousands of them, over a few connections that stay open."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from dialogue_operator import names
from support.apiserver import TOKEN, ApiServer

AT_ONCE = 8
Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What it says: the fields that it objects to, and its sentences."""

    taken: bool
    fields: tuple[str, ...] = ()
    text: str = ""


async def create_dry(server: ApiServer, objects: Sequence[Json]) -> list[Answer]:
    """As `kubectl create --dry-run=server` with strict validation, one answer for each object."""
    turn = asyncio.Semaphore(AT_ONCE)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False), headers=headers) as session:

        async def ask(one: Json) -> Answer:
            space = one["metadata"]["namespace"]
            url = f"{server.url}/apis/{names.API_VERSION}/namespaces/{space}/{names.PLURAL}"
            params = {"dryRun": "All", "fieldValidation": "Strict"}
            async with turn, session.post(url, params=params, json=_whole(one)) as reply:
                return _answer(reply.status, await reply.json())

        return await asyncio.gather(*map(ask, objects))


def _whole(value: Any) -> Any:
    """As kubectl sends it: 4.0 goes out as 4."""
    if isinstance(value, dict):
        return {key: _whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_whole(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _answer(status: int, body: Json) -> Answer:
    if status < 300:
        return Answer(True)
    assert 400 <= status < 500, f"{status}: {body}"
    causes = body.get("details", {}).get("causes", [])
    unknown = re.findall(r'unknown field "([^"]+)"', body["message"])
    return Answer(False, tuple(cause.get("field", "") for cause in causes) + tuple(unknown), body["message"])
