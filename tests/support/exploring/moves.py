"""Everything that can happen to a state other than a decision: people, pods, the gateway, time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from dialogue_operator.api.rollout import Action
from dialogue_operator.api.status import Verdict
from support.exploring.canonical import due_times, know
from support.exploring.state import Pods, State
from support.exploring.wishes import Wish

Move: TypeAlias = tuple[str, State]
ACTIONS: tuple[Action, ...] = ("Promote", "Pause", "Resume", "Abort", "Retry", "Rollback")


@dataclass(frozen=True)
class Scope:
    """What may happen in one exploration. `edits`: fields of a wish and the values that people may give them."""

    name: str
    start: Wish
    edits: tuple[tuple[str, tuple[Any, ...]], ...] = (("version", (1, 2)),)
    actions: tuple[Action, ...] = ()
    verdicts: tuple[Verdict | None, ...] = ("Pass", "Fail", "NoData", None)
    golden: tuple[str, ...] = ("Passed",)
    pods: tuple[str, ...] = ("up", "down")  # of up, down, partly, gone
    crashes: tuple[int, ...] = (0, 1, 2)  # after so many writes
    stale: bool = True  # pods are lost and the gateway moves while a decision is on its way
    conflicts: bool = False
    setbacks: int = 1  # in place of SETBACK_LIMIT
    serves: bool = True  # the first revision serves already
    most: int = 10**9  # states


def moves(scope: Scope, state: State) -> Iterator[Move]:
    yield from cluster_moves(scope, state)
    yield from _time(state)
    yield from _people(scope, state)


def cluster_moves(scope: Scope, state: State) -> Iterator[Move]:
    for index, one in enumerate(state.pods):
        for what, pods in _pods(scope, one):
            rest = (*state.pods[:index], *([pods] if pods else []), *state.pods[index + 1 :])
            yield f"pods of {one.revision} {what}", state.but(pods=rest)
    if state.accepted is not state:
        yield "the gateway accepts", state.accepted
    if scope.conflicts:
        yield "host conflict ends" if state.conflict else "host conflict", state.but(conflict=not state.conflict)


def _pods(scope: Scope, one: Pods) -> Iterator[tuple[str, Pods | None]]:
    if "up" in scope.pods and one.ready < one.replicas:
        yield "up", one._replace(ready=one.replicas)
    if "down" in scope.pods and one.ready:
        yield "down", one._replace(ready=0)
    if "partly" in scope.pods and one.replicas > 1 and one.ready != 1:
        yield "partly", one._replace(ready=1)
    if "gone" in scope.pods:
        yield "gone", None


def _time(state: State) -> Iterator[Move]:
    later = sorted({due for due in due_times(state) if due > state.now})
    if later:
        yield f"time +{later[0] - state.now}", state.but(now=later[0])
    if later[1:]:
        yield f"time +{later[-1] + 1 - state.now}", state.but(now=later[-1])


def _people(scope: Scope, state: State) -> Iterator[Move]:
    wish = state.wish
    for name, values in scope.edits:
        for value in values:
            if value != getattr(wish, name):
                edited = wish.but(**{name: value})
                know(edited)
                yield f"{name}={value}", state.but(wish=edited)
    for action in scope.actions:
        yield action, state.asked(action)
