"""The operator's loop without its process: a crash drops all that it remembers, and only the API server keeps anything.

Cheap enough for hundreds of crash points on the real API server; that a killed process is no different is another
test's affair.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from kubernetes.aio.client.configuration import Configuration

from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.cluster.capabilities import CapabilitySurvey, ScalingSettings
from dialogue_operator.cluster.client import MERGE, READS, KubeClient, Limits
from dialogue_operator.cluster.errors import ApiError, NotFound
from dialogue_operator.cluster.hosts import HostSurvey
from dialogue_operator.cluster.resources import DIALOGUE_MODEL, Resource
from dialogue_operator.controller.reconcile import Reconciler, Surroundings
from dialogue_operator.controller.settings import Settings
from dialogue_operator.controller.telemetry import Metrics
from dialogue_operator.render.routes import GatewayRef
from dialogue_operator.rollout.evidence import Evidence, Tally
from dialogue_operator.rollout.questions import Count
from support.kube import MOMENTS, NOT_COUNTED, Moment, Write

Json = dict[str, Any]
Key = tuple[str, str]
SETTINGS = Settings(GatewayRef("dialogue", "kserve", "models.test"), "example.test/predictor:1")
UNLIMITED = Limits(reads_per_second=1e6, writes_per_second=1e6)
HASTY = Limits(connect=1.0, total=1.0, retry=3.0, reads_per_second=1e6, writes_per_second=1e6)
LOOK_SECONDS = 0.5


class Crash(BaseException):
    """The process ends here: nothing may catch this, and nothing that it still does reaches the API server."""


class Offence(BaseException):
    """An invariant is broken."""


@dataclass(frozen=True)
class Point:
    """The n-th write of a story.

    The process dies before it, or after it; or the answer is lost on the way; or the write is late: it leaves a leader
    that was deposed meanwhile, and arrives when its follower has long brought the story to its end.
    """

    number: int
    moment: Moment | Literal["late"]

    def __str__(self) -> str:
        return f"{self.moment} write {self.number}"


POINT_MOMENTS: tuple[Moment | Literal["late"], ...] = (*MOMENTS, "late")

Sent = tuple[str, str, Mapping[str, str] | None, Json | None, str]


class Wire(KubeClient):
    """Counts writes, and does at one of them what `point` says."""

    def __init__(self, line: KubeClient, config: Configuration, limits: Limits) -> None:
        super().__init__(config, limits)
        self._line = line
        self.writes: list[Write] = []
        self.point: Point | None = None
        self.dead = False
        self.late: Sent | None = None

    async def deliver(self) -> None:
        """The late write arrives; whatever the API server says to it, nobody hears."""
        assert self.late is not None
        await self._line._once(*self.late)

    async def _once(
        self, verb: str, path: str, query: Mapping[str, str] | None, body: Json | None, content: str
    ) -> tuple[int, Mapping[str, str], str]:
        if self.dead:
            raise Crash
        if verb in READS or any(word in path for word in NOT_COUNTED):
            return await self._line._once(verb, path, query, body, content)
        self.writes.append(Write(verb, path))
        check(path, body)
        moment = self.point.moment if self.point and self.point.number == len(self.writes) else None
        if moment in ("before", "late"):
            self.dead = True
            self.late = (verb, path, query, body, content) if moment == "late" else None
            raise Crash
        answer = await self._line._once(verb, path, query, body, content)
        if moment == "unheard":
            raise ConnectionResetError("made up by a test")
        if moment == "after":
            self.dead = True
            raise Crash
        return answer


def check(path: str, body: Json | None) -> None:
    """What no write may ever say."""
    if "routes/" in path and body:
        weights = sum(backend.get("weight", 1) for backend in body["spec"]["rules"][-1]["backendRefs"])
        if weights != 100:
            raise Offence(f"{path}: weights sum to {weights}")


class AllSeeing:
    """A source of evidence: every request of revisions whose version is in `bad` failed, none of the others did."""

    def __init__(self, bad: Sequence[str] = ()) -> None:
        self._bad = frozenset(bad)

    async def gather(self, model: DialogueModel, asked: Count) -> Evidence:
        versions = {record.revision: record.serving.model.version for record in model.status.revisions}
        tallies = {
            revision: Tally(requests=1000.0, errors=1000.0 if versions.get(revision) in self._bad else 0.0)
            for revision in asked.revisions
        }
        return Evidence(asked.rollout_id, asked.step, tallies)


class Hands:
    """One model's operator: reconciles it until it is at rest, and begins with nothing again after each crash."""

    def __init__(self, workshop: "Workshop", key: Key, source: AllSeeing) -> None:
        self._workshop, self._key = workshop, key
        self._around = Surroundings(source, workshop.capabilities)
        self.wire = Wire(workshop.line, workshop.config, workshop.limits)
        self.crashes = 0
        self._begin()

    def _begin(self) -> None:
        self.wire.dead = False
        self._reconcile = Reconciler(
            self.wire, self._workshop.survey, SETTINGS, Metrics(), self._around, self._workshop.now
        )

    async def look(self) -> float:
        """One pass; seconds until the next one, at most."""
        before = len(self.wire.writes)
        try:
            wake = await self._reconcile(self._key)
        except Crash:
            self.crashes += 1
            self._begin()
            return 0.0
        except ApiError:  # a conflict, or a refusal: the queue would bring it back
            return LOOK_SECONDS
        if len(self.wire.writes) > before:  # its own writes ring
            return 0.0
        return LOOK_SECONDS if wake is None else min(wake, LOOK_SECONDS)


class Workshop:
    """What all operators of one test share: their line to the API server, and what is true of the cluster.

    `people` have a line of their own, in case that of the operators is spoilt.
    """

    def __init__(self, config: Configuration, limits: Limits = UNLIMITED, direct: Configuration | None = None) -> None:
        self.config, self.limits = config, limits
        self.line, self.people = KubeClient(config, limits), KubeClient(direct or config, UNLIMITED)
        self.survey = HostSurvey(self.line, SETTINGS.gateway, (), time.monotonic)
        self.capabilities = CapabilitySurvey(self.line.discover, ScalingSettings())
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def edit(self, key: Key, patch: Json, resource: Resource = DIALOGUE_MODEL) -> None:
        """As a person does it."""
        await self.people._call("PATCH", resource.path(*key), {"fieldManager": "a-person"}, patch, MERGE)

    async def delete(self, key: Key, resource: Resource = DIALOGUE_MODEL) -> None:
        with suppress(NotFound):
            await self.people._call("DELETE", resource.path(*key), body={})

    async def close(self) -> None:
        await self.line.close()
        await self.people.close()
