"""Copies of conversations for a revision that nobody sees: its replies are compared, counted and dropped.

A copy goes out once the user's reply is known, and nothing waits for it. It carries the turns that the user really
saw and none of the gateway's headers, so that it is answered by the shadow alone and copied no further.
"""

import asyncio
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import httpx

from dialogue_predictor import names
from dialogue_predictor.config.options import RequestOptions
from dialogue_predictor.inference.request import ReplyRequest
from dialogue_predictor.serving.arms import Arm
from dialogue_predictor.serving.metrics import Metrics, Result
from dialogue_predictor.text.dialogue import Turn

HEADER = re.compile(rf"({names.REVISION_PATTERN}):(100|[1-9][0-9]?)")
MOST_IN_FLIGHT = 16
SECONDS = 30.0
CONNECT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Shadow:
    revision: str
    percent: int


def read_shadow(header: str) -> Shadow:
    """From `REVISION:PERCENT`. Raises ValueError."""
    found = HEADER.fullmatch(header)
    if found is None:
        raise ValueError("not REVISION:PERCENT")
    return Shadow(found[1], int(found[2]))


def is_copied(turns: Sequence[Turn], percent: int) -> bool:
    """By the user's first words, so that a conversation is copied whole or not at all."""
    first = next((turn.text for turn in turns if turn.role == "user"), "")
    digest = hashlib.sha256(first.encode()).digest()
    return int.from_bytes(digest[:8]) % 100 < percent


def body_of(model: str, request: ReplyRequest, arm: Arm) -> dict[str, Any] | None:
    """The request as a chat completion that leaves to the shadow what the user left to `arm`.

    None where the user chose what a chat completion cannot say, such as beams, or had the reply drawn: a reply decoded
    otherwise than the user's says nothing about the revision.
    """
    chosen, default = RequestOptions.of(request.options), RequestOptions.of(arm.generation)
    if chosen.model_copy(update={"max_new_tokens": default.max_new_tokens}) != default:
        return None
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": turn.role, "content": turn.text} for turn in request.turns],
    }
    if chosen.max_new_tokens != default.max_new_tokens:
        body["max_tokens"] = chosen.max_new_tokens
    if request.stop:
        body["stop"] = list(request.stop)
    return body


def in_cluster(model: str, revision: str) -> str:
    return names.REVISION_URL.format(model=model, revision=revision)


class Mirror:
    """Sends the copies. `url_of`: where a revision of a model answers."""

    def __init__(self, model: str, metrics: Metrics, url_of: Callable[[str, str], str] = in_cluster) -> None:
        self._model = model
        self._metrics = metrics
        self._url_of = url_of
        self._client: httpx.AsyncClient | None = None
        self._copies: set[asyncio.Task[None]] = set()

    def copy(self, shadow: Shadow, arm: Arm, request: ReplyRequest, said: str) -> None:
        """`said`: the reply that the user got. Returns at once and never raises."""
        if shadow.revision == arm.revision or not is_copied(request.turns, shadow.percent):
            return
        body = body_of(self._model, request, arm)
        if body is None:
            return
        if len(self._copies) >= MOST_IN_FLIGHT:
            self._metrics.of(arm.revision).shadowed(shadow.revision, "dropped")
            return
        task = asyncio.get_running_loop().create_task(self._compare(shadow.revision, arm.revision, body, said))
        self._copies.add(task)
        task.add_done_callback(self._copies.discard)

    async def close(self) -> None:
        """Gives up the copies in flight."""
        for task in self._copies:
            task.cancel()
        await asyncio.gather(*self._copies, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    async def _compare(self, shadow: str, revision: str, body: dict[str, Any], said: str) -> None:
        started = perf_counter()
        result: Result = "failed"
        try:
            async with asyncio.timeout(SECONDS):
                text = await self._ask(shadow, body)
            result = "same" if text == said else "different"
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError, LookupError, TypeError):
            pass  # nobody waits for it; the count says it
        seconds = None if result == "failed" else perf_counter() - started
        self._metrics.of(revision).shadowed(shadow, result, seconds)

    async def _ask(self, shadow: str, body: dict[str, Any]) -> Any:
        if self._client is None:
            timeout = httpx.Timeout(SECONDS, connect=CONNECT_SECONDS)
            self._client = httpx.AsyncClient(timeout=timeout, trust_env=False)  # no proxy within a namespace
        response = await self._client.post(self._url_of(self._model, shadow) + names.CHAT_PATH, json=body)
        response.raise_for_status()
        return response.json()["choices"][0]["message"]["content"]
