"""One DialogueModel and the cluster around it as an immutable value, and how a plan changes it."""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.api.rollout import Action
from dialogue_operator.api.status import DialogueModelStatus, Verdict
from dialogue_operator.rollout.evidence import Evidence
from dialogue_operator.rollout.observed import Observed, ObservedRevision, ObservedRoute
from dialogue_operator.rollout.plan import Plan
from dialogue_operator.rollout.questions import questions
from support.chosen import Chosen
from support.exploring.wishes import Wish, model_of
from support.world import START

Weights: TypeAlias = tuple[tuple[str, int], ...]


class Pods(NamedTuple):
    """What there is of one revision's InferenceService."""

    revision: str
    replicas: int
    ready: int = 0


class Route(NamedTuple):
    """One route object; `accepted` is what the gateway said of it as it stands now."""

    weights: Weights
    named: tuple[str, ...]
    accepted: bool = False


class State(NamedTuple):
    """Everything that a decision depends on."""

    wish: Wish = Wish()
    status: DialogueModelStatus = DialogueModelStatus()
    pods: tuple[Pods, ...] = ()  # by revision
    routes: tuple[Route, ...] = ()
    previews: tuple[Route, ...] = ()
    conflict: bool = False
    now: int = 0  # seconds

    def but(self, **changes: Any) -> "State":
        return self._replace(**changes)

    @property
    def time(self) -> datetime:
        return START + timedelta(seconds=self.now)

    @property
    def model(self) -> DialogueModel:
        return replace(model_of(self.wish), status=self.status)

    @property
    def asks(self) -> bool:
        """A verb has not been answered yet."""
        request = self.wish.request
        return request is not None and request[0] != self.status.request.id

    def asked(self, action: Action) -> "State":
        """With a verb of a new id."""
        fresh = "b" if self.status.request.id == "a" else "a"
        return self.but(wish=self.wish.but(request=(fresh, action, None)))

    @property
    def all_ready(self) -> "State":
        pods = tuple(one._replace(ready=one.replicas) for one in self.pods)
        return self if pods == self.pods else self.but(pods=pods)

    @property
    def accepted(self) -> "State":
        if all(route.accepted for route in (*self.routes, *self.previews)):
            return self
        return self.but(routes=_accepted(self.routes), previews=_accepted(self.previews))

    def observed(self, verdict: Verdict | None, golden: str) -> Observed:
        """What a decision sees; `verdict` is what all gates say, where any is asked (None: nothing was gathered)."""
        model = self.model
        asked = questions(model, self.status)
        evidence = None
        if (count := asked.count) and verdict:
            evidence = Evidence(count.rollout_id, count.step, dict.fromkeys(count.revisions, Chosen(verdict=verdict)))
        return Observed(
            _seen(self.pods),
            _seen_routes(self.routes),
            previews=_seen_routes(self.previews),
            host_conflict="HTTPRoute other/concierge" if self.conflict else "",
            evidence=evidence,
            golden={asked.golden: golden} if asked.golden and golden else {},
            can_sleep=True,
        )

    def applied(self, plan: Plan, writes: int = 4) -> "State":
        """Pods, each route, previews and pruning: the operator's writes in their order, of which so many are made."""
        pods = {one.revision: one for one in self.pods}
        for wanted in plan.revisions:
            ready = pods[wanted.revision].ready if wanted.revision in pods else 0
            pods[wanted.revision] = Pods(wanted.revision, wanted.replicas, min(ready, wanted.replicas))
        routes, previews = self.routes, self.previews
        if plan.traffic:
            named = tuple(sorted({plan.pods_of(name) for name in {*plan.pinned, *dict(plan.traffic)}}))
            routes = _written(routes, plan.traffic, named, min(max(writes - 1, 0), 2))
        if writes > 3:
            shown = ((plan.preview, 100),) if plan.preview else ()
            previews = _written(previews, shown, (plan.pods_of(plan.preview),), 2) if plan.preview else ()
            for gone in plan.prune:
                pods.pop(gone, None)
        return self.but(pods=tuple(sorted(pods.values())), routes=routes, previews=previews)


def _accepted(routes: tuple[Route, ...]) -> tuple[Route, ...]:
    return tuple(route if route.accepted else route._replace(accepted=True) for route in routes)


def _written(routes: tuple[Route, ...], weights: Weights, named: tuple[str, ...], count: int) -> tuple[Route, ...]:
    found = list(routes)
    for index in range(count):
        if index >= len(found):
            found.append(Route(weights, named))
        elif (found[index].weights, found[index].named) != (weights, named):
            found[index] = Route(weights, named)
    return tuple(found)


@lru_cache(maxsize=100_000)
def _seen(pods: tuple[Pods, ...]) -> dict[str, ObservedRevision]:
    return {one.revision: ObservedRevision(one.revision, one.ready > 0, one.replicas, one.ready) for one in pods}


@lru_cache(maxsize=100_000)
def _seen_routes(routes: tuple[Route, ...]) -> tuple[ObservedRoute, ...]:
    return tuple(ObservedRoute(dict(r.weights), frozenset(r.named), r.accepted) for r in routes)
