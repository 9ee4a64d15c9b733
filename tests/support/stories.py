"""What may happen to a model, as stories that can be told with a crash at any write: the end must be the same."""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from dialogue_operator import names
from dialogue_operator.cluster.resources import (
    DEPLOYMENT,
    DIALOGUE_MODEL,
    GRPC_ROUTE,
    HTTP_ROUTE,
    INFERENCE_SERVICE,
    SERVING_RUNTIME,
)
from support.inprocess import POINT_MOMENTS, AllSeeing, Hands, Key, Point, Workshop
from support.objects import manifest

Json = dict[str, Any]
KINDS = (INFERENCE_SERVICE, SERVING_RUNTIME, DEPLOYMENT, HTTP_ROUTE, GRPC_ROUTE)
CLAIM = "models"
PATIENCE_SECONDS = 60.0  # for what follows a crash
AT_ONCE = 20  # stories told at the same time
BAD = "9.0.0"
END = "it is at rest"


def claim(namespace: str) -> Json:
    """It binds one of the volumes that the local cluster keeps ready."""
    return {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": CLAIM, "namespace": namespace},
        "spec": {
            "accessModes": ["ReadOnlyMany"], "storageClassName": "dialogue-local",
            "resources": {"requests": {"storage": "1Mi"}},
        },
    }  # fmt: skip


class NotTheEnd(AssertionError):
    """The story did not come to its end in time."""


def version(number: str) -> Json:
    return {"spec": {"model": {"uri": f"pvc://{CLAIM}/v{number[0]}", "version": number}}}


def request(action: str) -> Json:
    return {"spec": {"rollout": {"request": {"id": f"{action.lower()}-1", "action": action}}}}


def has_weight(status: Json) -> bool:
    """The candidate's first step is under way."""
    return int(status.get("rollout", {}).get("step", 0)) >= 1 and bool(status.get("candidateRevision"))


def always(status: Json) -> bool:
    return True


@dataclass(frozen=True)
class Edit:
    """What a person does, as soon as the status is so; None deletes the object."""

    patch: Json | None
    when: Callable[[Json], bool] = always


@dataclass(frozen=True)
class Story:
    """`before` happens without crashes; `edits` one after the other, then it ends with `stable` serving, or nothing left."""

    name: str
    edits: tuple[Edit, ...]
    stable: str | None
    outcome: str = ""
    before: tuple[str, ...] = ()  # further versions that are promoted first
    gated: bool = False


STORIES = (
    Story("promote", (Edit(version("2.0.0")),), "2.0.0", "Promoted"),
    Story("abort by request", (Edit(version("2.0.0")), Edit(request("Abort"), has_weight)), "1.0.0", "Aborted"),
    Story("abort by gate", (Edit(version(BAD)),), "1.0.0", "Rejected", gated=True),
    Story("rollback", (Edit(request("Rollback")),), "1.0.0", "RolledBack", before=("2.0.0",)),
    Story("edit in the middle", (Edit(version("2.0.0")), Edit(version("3.0.0"), has_weight)), "3.0.0", "Promoted"),
    Story("delete in the middle", (Edit(version("2.0.0")), Edit(None, has_weight)), None),
)


@dataclass(frozen=True)
class Told:
    """How it ended: everything but names, times and uids; the writes; whether its point was reached."""

    end: Json
    writes: tuple[str, ...]
    reached: bool
    seconds: float  # from the first crash, or from the beginning, to the end


@dataclass(frozen=True)
class Interrupted:
    """A story with a point in it, held against the calm one."""

    story: str
    point: Point
    reached: bool
    seconds: float
    problems: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.story}, {self.point}: {'; '.join(self.problems) or 'the same end'}"


async def tell_all(
    teller: "Teller", stories: Sequence[Story], every: int = 1, tell: Callable[[Interrupted], None] = lambda one: None
) -> list[Interrupted]:
    """Each story calmly, and then with a crash or a lost answer at every so manieth point; `tell` hears of each at once."""
    calm = await asyncio.gather(*(teller.tell(story, _name(story, "calm")) for story in stories))

    async def interrupted(story: Story, quiet: Told, point: Point) -> Interrupted:
        try:
            told = await teller.tell(story, _name(story, f"{point.number}-{point.moment}"), point)
        except NotTheEnd as error:
            found = Interrupted(story.name, point, True, PATIENCE_SECONDS, (str(error),))
        else:
            problems = tuple(difference(told.end, quiet.end))
            found = Interrupted(story.name, point, told.reached, told.seconds, problems)
        tell(found)
        return found

    points = [
        (story, quiet, Point(number, moment))
        for story, quiet in zip(stories, calm, strict=True)
        for number in range(1, len(quiet.writes) + 1)
        for moment in POINT_MOMENTS
    ]
    return await asyncio.gather(*(interrupted(*one) for one in points[every // 2 :: every]))


def _name(story: Story, word: str) -> str:
    """Short: KServe makes a label of 63 characters at most of name, revision and namespace. No word of a status has it in it."""
    return f"s{STORIES.index(story)}-{word}"


class Teller:
    """Tells stories in one namespace, several at a time."""

    def __init__(self, workshop: Workshop, namespace: str) -> None:
        self._workshop, self._namespace = workshop, namespace
        self._room = asyncio.Semaphore(AT_ONCE)

    async def tell(
        self,
        story: Story,
        name: str,
        point: Point | None = None,
        weather: Callable[[Key], Coroutine[Any, Any, None]] | None = None,
    ) -> Told:
        """`point` interrupts it, `weather` is what goes on around it; it must come to an end before the story can."""
        async with self._room:
            key = (self._namespace, name)
            await self._workshop.people.apply(_first(story, *key))
            hands = Hands(self._workshop, key, AllSeeing([BAD]))
            for number in ("1.0.0", *story.before):
                if number != "1.0.0":
                    await self._workshop.edit(key, version(number))
                await self._until(hands, key, lambda s, n=number: _rests(s, n), END)  # type: ignore[misc]
            hands.wire.writes.clear()
            hands.wire.point = point
            began = time.monotonic()
            storm = asyncio.create_task(weather(key)) if weather else None
            for edit in story.edits:
                await self._until(hands, key, edit.when, "the next edit may come")
                await self._act(key, edit)
            if storm:
                await self._until(hands, key, lambda _: storm.done(), "it has passed")
                storm.result()
            await self._until(hands, key, lambda status: self._is_over(story, status), END)
            if hands.wire.late is not None:
                await hands.wire.deliver()
                await self._until(hands, key, lambda status: self._is_over(story, status), END)
            end = await self._canonical(key)
            reached = point is None or len(hands.wire.writes) >= point.number
            writes = tuple(map(str, hands.wire.writes))
            told = Told(end, writes, reached, time.monotonic() - began)
            await self._act(key, Edit(None))
            await hands.wire.close()
            return told

    async def _act(self, key: Key, edit: Edit) -> None:
        if edit.patch is not None:
            await self._workshop.edit(key, edit.patch)
        else:
            await self._workshop.delete(key)

    async def _until(self, hands: Hands, key: Key, holds: Callable[[Json], bool], what: str) -> None:
        """Reconcile until it is so, and all that belongs to it has come to rest."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            wait = await hands.look()
            found = await self._workshop.people.find(DIALOGUE_MODEL, *key)
            status = (found or {}).get("status") or {}
            if holds(status) and (what != END or (wait and await self._is_tidy(key, found))):
                return
            if time.monotonic() > until:
                raise NotTheEnd(f"{key[1]}: waited in vain until {what}: {json.dumps(status.get('rollout', status))}")
            await asyncio.sleep(wait)  # zero lets others go first

    async def _is_tidy(self, key: Key, found: Json | None) -> bool:
        """Nothing is left of a deleted model, and of another only what its stable revision needs."""
        objects = await self._children(key)
        if found is None:
            return not any(objects.values())
        return all(len(objects[kind.kind]) == 1 for kind in KINDS)

    async def _children(self, key: Key) -> dict[str, list[Json]]:
        selector = {names.LABEL_MODEL: key[1]}
        lists: list[Awaitable[list[Json]]] = [self._workshop.people.list(kind, key[0], selector) for kind in KINDS]
        return dict(zip((kind.kind for kind in KINDS), await asyncio.gather(*lists), strict=True))

    def _is_over(self, story: Story, status: Json) -> bool:
        if story.stable is None:
            return not status
        return _rests(status, story.stable) and status["rollout"]["outcome"] == story.outcome

    async def _canonical(self, key: Key) -> Json:
        found = await self._workshop.people.find(DIALOGUE_MODEL, *key)
        all_: Json = {"status": (found or {}).get("status")}
        for kind, items in (await self._children(key)).items():
            all_[kind] = [{"labels": item["metadata"]["labels"], "spec": item["spec"]} for item in items]
        text = json.dumps(all_, sort_keys=True).replace(key[1], "NAME")
        canonical: Json = json.loads(re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text))
        return canonical


def _first(story: Story, namespace: str, name: str) -> Json:
    rollout: Json = {
        "strategy": "Canary", "drain": "1s", "progressDeadline": "60s",
        "steps": [{"weight": 20, "hold": "1s"}, {"weight": 60, "hold": "1s"}],
    }  # fmt: skip
    if story.gated:
        rollout["gates"] = [{"name": "errors", "metric": "errorRate", "max": "5%", "minSamples": 50}]
    found = manifest(name, namespace, spec__rollout=rollout)
    found["spec"] |= version("1.0.0")["spec"]
    return found


def _rests(status: Json, number: str) -> bool:
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))
    calm = not status.get("candidateRevision") and len(status.get("revisions", [])) == 1
    return status.get("stableVersion") == number and ready and calm


def difference(one: Json, other: Json, path: str = "") -> list[str]:
    """Where two ends differ, in words."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            line for key in sorted(one.keys() | other.keys())
            for line in difference(one.get(key), other.get(key), f"{path}.{key}")  # type: ignore[arg-type]
        ]  # fmt: skip
    return [] if one == other else [f"{path}: {json.dumps(one)} is not {json.dumps(other)}"]
