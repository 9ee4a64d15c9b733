"""When two states are the same: what no decision can tell apart is left out of a state's key.

Times become what is left or has passed, no further than any due time; versions are named in order of appearance;
counters, texts and everything that is derived for people (conditions, phase, shares as observed) are dropped. That this
loses nothing is checked while exploring: states of one key must be decided alike (`search`).
"""

from functools import cache
from typing import TypeAlias

from dialogue_operator.api.spec import ServingSpec
from dialogue_operator.api.status import DialogueModelStatus
from dialogue_operator.api.values import parse_duration
from dialogue_operator.rollout import advance
from dialogue_operator.rollout.revision import revision_of
from dialogue_operator.rollout.stages import stage_at, stages_of
from dialogue_operator.rollout.timing import parse_time
from support.exploring.state import State
from support.exploring.wishes import Wish, model_of, target_of
from support.world import START

Key: TypeAlias = tuple[object, ...]
Label: TypeAlias = tuple[str, str]  # version, all the rest

_labels: dict[str, Label] = {}


@cache
def seconds(text: str) -> int:
    """Since the start."""
    return round((parse_time(text) - START).total_seconds())


@cache
def deadline(wish: Wish) -> int:
    return round(parse_duration(model_of(wish).spec.rollout.progress_deadline).total_seconds())


def due_times(state: State) -> list[int]:
    """When something may happen by itself, from now on; what has passed is among it."""
    status, rollout = state.status, state.status.rollout
    found = [seconds(r.retire_at) for r in status.revisions if r.retire_at]
    if not status.candidate_revision:
        return found
    if _is_waiting(status):
        found.append(seconds(rollout.waiting_since) + deadline(state.wish))
    elif rollout.step_started_at and rollout.weight < 100:
        stages = stages_of(state.model, status)
        hold = round(stage_at(stages, rollout.step).hold.total_seconds())
        begun = seconds(rollout.step_started_at)
        found += [begun + hold, begun + hold + deadline(state.wish)]
    return found


def key_of(state: State) -> Key:
    names, inner = _inner(state)
    status = state.status
    pods = [(names(one.revision, status), one.replicas, one.ready) for one in state.pods]
    routes = [
        (
            tuple(sorted([(names(r, status), w) for r, w in route.weights])),
            tuple(sorted([names(r, status) for r in route.named])),
            route.accepted,
        )
        for route in (*state.routes, *state.previews)
    ]
    return (*inner, tuple(sorted(pods)), (tuple(routes), len(state.routes), state.conflict))


def _inner(state: State) -> tuple["_Names", Key]:
    """What does not depend on the cluster, and how its revisions are named; many states share one status."""
    if len(_seen) > 20_000:
        _seen.clear()
    known = _seen.setdefault(id(state.status), (state.status, {}))[1]  # the status is kept: its id stays its own
    found = known.get((state.wish, state.now))
    if found is None:
        names = _Names({})
        found = known[state.wish, state.now] = (names.versions, _inner_key(state, names))
    return _Names(dict(found[0])), found[1]


_seen: dict[int, tuple[DialogueModelStatus, dict[tuple[Wish, int], tuple[dict[str, int], Key]]]] = {}


def _inner_key(state: State, names: "_Names") -> Key:
    status, wish = state.status, state.wish
    target = names(target_of(wish), status)
    stable, candidate, rejected = (
        names(one, status) for one in (status.stable_revision, status.candidate_revision, status.rejected_revision)
    )
    records = [
        (names(r.revision, status), names(r.pods, status), r.arm, bool(r.since), _left(r.retire_at, state.now))
        for r in status.revisions
    ]
    history = [names(entry.revision, status) for entry in status.history]
    earlier = next((one for one in history if one != stable), None)
    pending = (wish.request[1], names(wish.request[2], status)) if wish.request and state.asks else None
    failed = [
        (names(v.revision, status), v.step)
        for v in status.gates
        if v.verdict == "Fail" and (not v.step or v.revision == status.candidate_revision)
    ]
    return (
        (target, wish.strategy, wish.replicas, wish.arms, wish.shadow, wish.golden, wish.on_abort, wish.bake, pending),
        (stable, candidate, rejected, tuple(sorted(records)), _rollout(state)),
        tuple(sorted(failed)),
        (frozenset(history), earlier),
    )


class _Names:
    """Revisions by what they are: versions are numbered as they appear."""

    def __init__(self, versions: dict[str, int]) -> None:
        self.versions = versions

    def __call__(self, revision: str | None, status: DialogueModelStatus) -> tuple[int, str]:
        if revision is None:
            return (-2, "")
        label = _labels.get(revision) or _learned(revision, status)
        return self.versions.setdefault(label[0], len(self.versions)), label[1]


def _learned(revision: str, status: DialogueModelStatus) -> Label:
    for record in status.revisions:
        _labels.setdefault(record.revision, _label(record.serving, record.arm))
    return _labels[revision]


def know(wish: Wish) -> None:
    """The label of the revision that is asked for, before any record has it."""
    spec = model_of(wish).spec
    serving = ServingSpec(model=spec.model, runtime=spec.runtime, generation=spec.generation, dialogue=spec.dialogue)
    _labels.setdefault(revision_of(serving), _label(serving, ""))


def _label(serving: ServingSpec, arm: str) -> Label:
    rest = serving.model_copy(update={"model": serving.model.model_copy(update={"version": ""})})
    rest = rest.model_copy(update={"runtime": rest.runtime.model_copy(update={"image": None})})
    return serving.model.version, revision_of(rest, arm)


def _left(until: str | None, now: int) -> int:
    return -1 if until is None else max(0, seconds(until) - now)


def _is_waiting(status: DialogueModelStatus) -> bool:
    return not status.rollout.step or status.rollout.step < status.rollout.next_step


def _rollout(state: State) -> Key:
    status, rollout = state.status, state.status.rollout
    if not status.candidate_revision:
        return (rollout.outcome in ("", "Promoted"),)
    waited = held = None
    late = deadline(state.wish)
    if _is_waiting(status):
        waited = min(state.now - seconds(rollout.waiting_since), late)
    elif rollout.step_started_at:
        hold = round(stage_at(stages_of(state.model, status), rollout.step).hold.total_seconds())
        held = min(state.now - seconds(rollout.step_started_at), hold + late)
    return (
        rollout.at_once, rollout.preflight == "Passed", rollout.stages, rollout.step, rollout.next_step, rollout.weight,
        min(rollout.setbacks, advance.SETBACK_LIMIT), bool(rollout.paused), bool(rollout.step_started_at), waited, held,
    )  # fmt: skip
