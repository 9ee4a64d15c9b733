"""Breadth-first exploration of everything that `decide` may meet within a scope, with every decision judged by `laws`."""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias
from unittest.mock import patch

from dialogue_operator.api.status import Verdict
from dialogue_operator.rollout.machine import decide
from dialogue_operator.rollout.plan import Decision
from dialogue_operator.rollout.questions import questions
from support import laws
from support.chosen import chosen_verdicts
from support.exploring.canonical import due_times, key_of, know
from support.exploring.moves import Scope, cluster_moves, moves
from support.exploring.state import State
from support.exploring.wishes import target_of
from support.world import DOMAIN, IMAGE

Answers: TypeAlias = tuple[Verdict | None, str]  # what gates say, and golden dialogues

ROUNDS = 4  # decisions at a fixed time and world until nothing changes
HEALTHY_STEPS = 60  # decisions until a healthy world has come to rest
SAMPLE = 40  # of so many states that are met again, one is decided again: it must be decided like the first of its key


class Broken(AssertionError):
    """A law that does not hold, and how one gets there."""


@dataclass
class Findings:
    states: int = 0
    transitions: int = 0
    decisions: int = 0
    closed: bool = False
    longest: int = 0  # healthy decisions until rest
    seconds: float = 0.0

    def __str__(self) -> str:
        reach = "closed" if self.closed else "bounded"
        return (
            f"{self.states} states ({reach}), {self.transitions} transitions, {self.decisions} decisions, "
            f"rest after at most {self.longest} healthy decisions, {self.seconds:.1f} s"
        )


@dataclass
class _Search:
    scope: Scope
    found: Findings = field(default_factory=Findings)
    parts: dict[object, int] = field(default_factory=dict)  # parts of keys, each kept once
    numbers: dict[tuple[int, ...], int] = field(default_factory=dict)  # keys → numbers of states
    came: list[tuple[int, str]] = field(default_factory=list)  # from which state, by what
    leads: dict[tuple[int, object], tuple[int, int]] = field(
        default_factory=dict
    )  # (state, answers) → recorded, applied
    rests: dict[tuple[int, ...], int] = field(default_factory=dict)  # keys → healthy decisions until rest
    queue: deque[tuple[int, State]] = field(default_factory=deque)
    met_again: int = 0

    def run(self) -> Findings:
        began = time.process_time()
        know(self.scope.start)
        self._begin(State(self.scope.start))
        while self.queue and len(self.numbers) < self.scope.most:
            number, state = self.queue.popleft()
            self._expand(number, state)
        self.found.closed = not self.queue
        self._check_that_records_settle()
        self.found.states, self.found.seconds = len(self.numbers), time.process_time() - began
        return self.found

    def _begin(self, state: State) -> None:
        try:
            self._reach(self._rest(state) if self.scope.serves else state, 0, "start")
        except AssertionError as error:
            raise Broken(f"{self.scope.name}: {error}") from error

    # the graph

    def key(self, state: State) -> tuple[int, ...]:
        """Small and exact: equal parts are kept once."""
        return tuple(self.parts.setdefault(part, len(self.parts)) for part in key_of(state))

    def _reach(self, state: State, source: int, by: str) -> int:
        self.found.transitions += 1
        key = self.key(state)
        number = self.numbers.get(key)
        if number is not None:
            self.met_again += 1
            if self.met_again % SAMPLE == 0:
                self._check_that_it_is_the_same(number, state)
            return number
        number = self.numbers[key] = len(self.numbers)
        self.came.append((source, by))
        self.queue.append((number, state))
        return number

    def _expand(self, number: int, state: State) -> None:
        try:
            self._rest(state)
            for answers in self._answers(state):
                self._follow(number, state, answers, self._decide(state, answers))
            for by, following in moves(self.scope, state):
                self._reach(following, number, by)
        except AssertionError as error:
            raise Broken(f"{self.scope.name}: {error}\n{self._story(number)}\n{_shown(state)}") from error

    def _follow(self, number: int, state: State, answers: Answers, decision: Decision) -> None:
        """The decision recorded and applied, with a crash anywhere, and with a world that moved meanwhile."""
        by = f"decide {answers}"
        recorded = state.but(status=decision.status)
        at = self._reach(recorded, number, f"{by}, crash before it is applied")
        said = decision.announcements if at == number else ()
        if at == number and decision.status != state.status:  # only words for people changed: no more of them next time
            again = self._decide(recorded, answers)
            assert (again.status, again.plan) == (decision.status, decision.plan), "it does not settle"
            said = again.announcements
        assert not said, f"said again and again: {said}"
        self.leads[number, answers] = at, self._reach(recorded.applied(decision.plan), number, by)
        for writes in self.scope.crashes:
            if writes:
                self._reach(recorded.applied(decision.plan, writes), number, f"{by}, crash after {writes} writes")
        if self.scope.stale:
            for move, moved in cluster_moves(self.scope, recorded):
                self._reach(moved.applied(decision.plan), number, f"{by}, meanwhile {move}")

    def _answers(self, state: State) -> Iterator[Answers]:
        asked = questions(state.model, state.status)
        golden = self.scope.golden if asked.golden else ("",)
        for verdict in self.scope.verdicts if asked.count else (None,):
            for said in golden:
                yield verdict, said

    def _decide(self, state: State, answers: Answers) -> Decision:
        self.found.decisions += 1
        model, observed = state.model, state.observed(*answers)
        decision = decide(model, observed, state.time, IMAGE, DOMAIN)
        laws.check(model, observed, state.time, decision)
        return decision

    # laws of more than one decision

    def _check_that_it_is_the_same(self, number: int, state: State) -> None:
        """Whatever a key leaves out makes no difference: another state of the same key leads to the same keys."""
        for answers in self._answers(state):
            if led := self.leads.get((number, answers)):
                decision = self._decide(state, answers)
                recorded = state.but(status=decision.status)
                applied = recorded.applied(decision.plan)
                leads = tuple(self.numbers.get(self.key(one)) for one in (recorded, applied))
                assert leads == led, f"states of one key are decided otherwise: {_shown(state)}"

    def _check_that_records_settle(self) -> None:
        """At a fixed time and world: recording alone comes to an end."""
        for number, answers in self.leads:
            at, rounds = number, 0
            while (following := self.leads.get((at, answers))) and following[0] != at:
                at, rounds = following[0], rounds + 1
                if rounds > ROUNDS:
                    raise Broken(f"{self.scope.name}: decisions do not settle\n{self._story(number)}")

    def _rest(self, state: State) -> State:
        """All is well from now on: people resume, pods come up, the gateway accepts, gates pass. Where that ends."""
        path: list[tuple[int, ...]] = []
        state = state.but(conflict=False)
        while True:
            state = state.all_ready.accepted
            if state.status.candidate_revision and state.status.rollout.paused and not state.asks:
                state = state.asked("Resume")
            key = self.key(state)
            if key in self.rests:
                break
            path.append(key)  # again where only words for people changed
            assert len(path) <= HEALTHY_STEPS, f"a healthy world does not come to rest:\n{_shown(state)}"
            decision = self._decide(state, ("Pass", "Passed"))
            following = state.but(status=decision.status).applied(decision.plan)
            if following.status == state.status and self.key(following) == key:
                due = min((due for due in due_times(following) if due > following.now), default=None)
                if due is None:
                    self._check_rest(following, decision)
                    self.rests[key] = 0
                    break
                wake = decision.wake_after
                assert wake is not None, "it sleeps though something is due"
                assert wake <= due - following.now, (
                    f"it sleeps for {wake} s, past what is due in {due - following.now} s"
                )
                following = following.but(now=due)
            state = following
        steps = self.rests[key]
        for passed in reversed(path):
            steps += 1
            self.rests.setdefault(passed, steps)
        assert steps <= HEALTHY_STEPS, "a healthy world needs too many decisions to come to rest"
        self.found.longest = max(self.found.longest, steps)
        return state

    def _check_rest(self, state: State, decision: Decision) -> None:
        status, target = state.status, target_of(state.wish)
        stable = status.stable_revision or ""
        assert status.phase in ("Stable", "Degraded"), f"a healthy world rests {status.phase}"
        assert not status.candidate_revision, "a healthy world rests without a candidate"
        assert target in (stable, status.rejected_revision), "what is asked for neither serves nor was rejected"
        kept = {record.revision: record.pods or record.revision for record in status.revisions}
        arms = {record.revision for record in status.revisions if record.arm}
        lent = {kept[revision] for revision in (stable, *arms)}
        assert kept.keys() == {stable, *arms} | lent, f"records are left over: {kept}"
        assert {one.revision for one in state.pods} == lent, f"pods are left over: {state.pods}"
        assert not decision.announcements, decision.announcements
        assert {route.weights for route in state.routes} == {decision.plan.traffic}, "routes are not as told"
        assert not state.previews, "the preview is left over"

    def _story(self, number: int) -> str:
        lines = []
        while number:
            number, by = self.came[number]
            lines.append(by)
        return "\n".join(f"  {index}. {by}" for index, by in enumerate(reversed(lines), 1))


def _shown(state: State) -> str:
    told = state.status.model_dump(
        exclude_defaults=True, exclude={"conditions", "history", "selector", "url", "grpc_host"}
    )
    for record in told.get("revisions", ()):
        del record["serving"]
    return f"{state.wish}\n{told}\n{state.pods}\n{state.routes} {state.previews} now={state.now}"


def explore(scope: Scope) -> Findings:
    """Raises Broken with the shortest way to what breaks a law."""
    with chosen_verdicts(), patch("dialogue_operator.rollout.advance.SETBACK_LIMIT", scope.setbacks):
        return _Search(scope).run()
