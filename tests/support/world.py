"""A cluster in miniature: it does what plans say, while a test makes pods ready, breaks things and lets time pass."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.api.status import DialogueModelStatus
from dialogue_operator.rollout.evidence import Answer, Evidence, Tally
from dialogue_operator.rollout.machine import decide
from dialogue_operator.rollout.observed import Failure, Observed, ObservedRevision, ObservedRoute
from dialogue_operator.rollout.plan import Announcement, Decision, Plan
from dialogue_operator.rollout.questions import questions
from dialogue_operator.rollout.revision import revision_of, serving_spec
from support.objects import manifest

IMAGE = "example.com/predictor:1"
DOMAIN = "models.example.com"
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Pods:
    """What KServe made of one InferenceService."""

    replicas: int
    ready: int = 0
    failure: Failure | None = None
    kserve_says_ready: bool = True
    deleting: bool = False


@dataclass
class Route:
    """One route object; `accepted` is what the gateway said of it as it stands now."""

    weights: dict[str, int]
    named: frozenset[str]
    accepted: bool = False


@dataclass
class World:
    """One DialogueModel, its status as recorded, its objects, the time."""

    spec: dict[str, Any] = field(default_factory=dict)  # changes to the builder's manifest, by path
    status: DialogueModelStatus = field(default_factory=DialogueModelStatus)
    pods: dict[str, Pods] = field(default_factory=dict)
    routes: list[Route] = field(default_factory=list)
    previews: list[Route] = field(default_factory=list)
    tallies: dict[str, Tally] = field(default_factory=dict)  # what revisions do in any step
    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)
    golden: str = "Passed"
    can_sleep: bool = False
    host_conflict: str = ""
    now: datetime = START
    generation: int = 1
    said: list[Announcement] = field(default_factory=list)

    def edit(self, **changes: Any) -> "World":
        self.spec |= changes
        self.generation += 1
        return self

    @property
    def model(self) -> DialogueModel:
        found = manifest(**self.spec)
        found["metadata"] |= {"uid": "u", "generation": self.generation}
        found["status"] = self.status.to_json()  # as the API server keeps it: bounds are checked on the way back
        return DialogueModel.parse(found)

    @property
    def target(self) -> str:
        """The revision that the spec asks for."""
        return revision_of(serving_spec(self.model.spec))

    def observe(self) -> Observed:
        revisions = {
            name: ObservedRevision(
                name,
                ready=pods.kserve_says_ready and pods.ready > 0,
                replicas=pods.replicas,
                ready_replicas=pods.ready,
                deleting=pods.deleting,
                failure=pods.failure,
            )
            for name, pods in self.pods.items()
        }
        routes, previews = (
            tuple(ObservedRoute(dict(r.weights), r.named, r.accepted) for r in found)
            for found in (self.routes, self.previews)
        )
        asked = questions(self.model, self.status)
        count = asked.count
        evidence = Evidence(count.rollout_id, count.step, self.tallies, self.answers) if count else None
        return Observed(
            revisions,
            routes,
            previews=previews,
            host_conflict=self.host_conflict,
            evidence=evidence,
            golden={asked.golden: self.golden} if asked.golden else {},
            can_sleep=self.can_sleep,
        )

    def decide(self, observed: Observed | None = None) -> Decision:
        return decide(self.model, observed or self.observe(), self.now, IMAGE, DOMAIN)

    def record(self, decision: Decision) -> None:
        self.status = decision.status
        self.said += decision.announcements

    def apply(self, plan: Plan) -> None:
        """Pods first, then routes, then pruning, as the operator does it."""
        for revision in plan.revisions:
            pods = self.pods.setdefault(revision.revision, Pods(revision.replicas))
            pods.replicas = revision.replicas
            pods.ready = min(pods.ready, revision.replicas)
        if plan.traffic:
            named = frozenset(plan.pods_of(revision) for revision in {*plan.pinned, *dict(plan.traffic)})
            self._route(self.routes, dict(plan.traffic), named)
        if plan.preview:
            self._route(self.previews, {plan.preview: 100}, frozenset({plan.pods_of(plan.preview)}))
        else:
            self.previews.clear()
        for gone in plan.prune:
            self.pods.pop(gone, None)

    @staticmethod
    def _route(routes: list[Route], weights: dict[str, int], named: frozenset[str]) -> None:
        for index in range(2):
            if index == len(routes):
                routes.append(Route(weights, named))
            elif (routes[index].weights, routes[index].named) != (weights, named):
                routes[index] = Route(weights, named)

    def step(self) -> Decision:
        """Observe, decide, record, apply."""
        decision = self.decide()
        self.record(decision)
        self.apply(decision.plan)
        return decision

    def look(self, times: int = 1) -> None:
        """The operator looks, pods come up, the gateway takes what it was told."""
        for _ in range(times):
            self.step()
            self.come_up()
            self.accept()

    def come_up(self, *revisions: str) -> None:
        """All pods of these revisions (default: of all) get ready."""
        for name in revisions or tuple(self.pods):
            pods = self.pods[name]
            pods.ready, pods.failure, pods.kserve_says_ready = pods.replicas, None, True

    def fail(self, revision: str, reason: str = "CrashLoopBackOff", message: str = "exit code 1") -> None:
        self.pods[revision].ready, self.pods[revision].failure = 0, Failure(reason, message)

    def accept(self) -> None:
        """The gateway takes the routes as they stand."""
        for route in (*self.routes, *self.previews):
            route.accepted = True

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def heal(self, decisions: int = 12, step: Callable[[], Decision] | None = None) -> int:
        """Everything works from now on: decide until there is nothing left to do; returns how many decisions that took."""
        self.host_conflict = ""
        for count in range(decisions):
            self.come_up()
            self.accept()
            before = self.status
            decision = (step or self.step)()
            if decision.wake_after is None and decision.status == before:
                return count + 1
            self.wait(decision.wake_after or 0)
        raise AssertionError(f"not settled after {decisions} decisions: {self.status}")

    @property
    def phase(self) -> str:
        return self.status.phase

    def condition_message(self, type_: str) -> str:
        return next(c.message for c in self.status.conditions if c.type == type_)

    def condition(self, type_: str) -> tuple[str, str]:
        found = next(c for c in self.status.conditions if c.type == type_)
        return found.status, found.reason


def serving(**spec: Any) -> World:
    """A world whose first revision serves."""
    world = World(spec=spec)
    world.heal()
    return world
