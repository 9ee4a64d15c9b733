"""Evidence from the predictors' own metrics pages, for clusters without Prometheus.

What is remembered is where counting began. An operator that restarts begins anew: that can delay a verdict, and never
makes one up.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import aiohttp

from dialogue_operator import names
from dialogue_operator.api.base import Json
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.cluster.errors import ApiError
from dialogue_operator.cluster.evidence.counting import Book, Reading
from dialogue_operator.cluster.evidence.exposition import reading_of
from dialogue_operator.cluster.evidence.tallies import tallies
from dialogue_operator.cluster.resources import POD, Resource
from dialogue_operator.cluster.web import said, session, text_of
from dialogue_operator.rollout.evidence import Evidence
from dialogue_operator.rollout.questions import Count

POD_SECONDS, LOOK_SECONDS = 2.0, 5.0
CONNECTIONS = 16  # of all looks together
KEPT_SECONDS, KEPT_BOOKS = 900.0, 1000
ACCEPT = {"Accept": "text/plain;version=0.0.4"}


class Lister(Protocol):
    """As much of `KubeClient` as is needed here."""

    async def list(
        self, resource: Resource, namespace: str = "", selector: Mapping[str, str] | None = None
    ) -> list[Json]: ...


@dataclass
class _Kept:
    """One DialogueModel's book: of the step that was asked for last, and no other."""

    step: tuple[int, int]
    book: Book
    used: float


class PodPages:
    """Reads the pages of all pods of the revisions that are asked for, ready or not: what fails is of interest, too."""

    def __init__(
        self, client: Lister, port: int = names.HTTP_PORT, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._client, self._port, self._monotonic = client, port, monotonic
        self._kept: OrderedDict[str, _Kept] = OrderedDict()  # by uid of the DialogueModel, used last at the end
        self._turns = asyncio.Semaphore(CONNECTIONS)

    async def gather(self, model: DialogueModel, asked: Count) -> Evidence:
        book = self._book(model.uid, (asked.rollout_id, asked.step))
        queries = [
            f"gate {gate.name}: a query needs Prometheus, and none is configured" for gate in asked.gates if gate.query
        ]
        try:
            failures = await self._look(model, set(asked.revisions.values()), asked.since, book)
            counted = tallies(book.counts, asked.revisions)
        except (ApiError, ValueError) as error:
            return Evidence(asked.rollout_id, asked.step, problem=f"metrics of pods: {said(error)}"[:500])
        return Evidence(asked.rollout_id, asked.step, counted, problem="; ".join(failures + queries)[:500])

    def _book(self, uid: str, step: tuple[int, int]) -> Book:
        now = self._monotonic()
        if (found := self._kept.get(uid)) is None or found.step != step:
            found = self._kept[uid] = _Kept(step, Book(), now)
        found.used = now
        self._kept.move_to_end(uid)
        while len(self._kept) > KEPT_BOOKS or now - next(iter(self._kept.values())).used > KEPT_SECONDS:
            self._kept.popitem(last=False)
        return found.book

    async def _look(self, model: DialogueModel, holders: set[str], since: datetime, book: Book) -> list[str]:
        """Counts what came on top; says what went wrong where no pod at all answered."""
        pods = await self._client.list(POD, model.namespace, {names.LABEL_MODEL: model.name})
        book.forget_others(map(_uid, pods))
        asked = [
            pod for pod in pods if _address(pod) and pod["metadata"]["labels"].get(names.LABEL_REVISION) in holders
        ]
        read: dict[str, Reading | str] = {}
        with suppress(TimeoutError):
            async with (
                asyncio.timeout(LOOK_SECONDS),
                session(CONNECTIONS, ACCEPT) as http,
                asyncio.TaskGroup() as group,
            ):
                for pod in asked:
                    group.create_task(self._read(http, pod, model.name, read))
        for pod in asked:
            reading = read.get(_uid(pod))
            if isinstance(reading, Reading):
                book.add(_uid(pod), reading, young=_began(pod) >= since)
        if not asked or any(isinstance(reading, Reading) for reading in read.values()):
            return []
        why = min(map(str, read.values()), default="no answer in time")
        return [f"metrics of pods: none of {len(asked)} answered: {why}"]

    async def _read(self, http: aiohttp.ClientSession, pod: Json, model: str, read: dict[str, Reading | str]) -> None:
        """Writes down the pod's counters, or why there are none."""
        url, name = f"http://{_address(pod)}:{self._port}{names.METRICS_PATH}", pod["metadata"]["name"]
        try:
            async with self._turns, asyncio.timeout(POD_SECONDS), http.get(url, allow_redirects=False) as response:
                text = await text_of(response)
                ok = response.status == 200
                read[_uid(pod)] = reading_of(text, model) if ok else f"{name}: status {response.status}"
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            read[_uid(pod)] = f"{name}: {said(error)}"


def _uid(pod: Json) -> str:
    return str(pod["metadata"]["uid"])


def _address(pod: Json) -> str:
    """Where a running pod is reached; empty for all others."""
    status = pod.get("status") or {}
    address = status.get("podIP", "") if status.get("phase") == "Running" else ""
    return f"[{address}]" if ":" in address else address


def _began(pod: Json) -> datetime:
    return datetime.fromisoformat(pod["status"].get("startTime") or "1970-01-01T00:00:00Z")
