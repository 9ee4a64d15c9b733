"""Every state of small worlds, every decision judged by `support.laws`; and which law says so when `decide` is broken."""

from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import pytest

from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.api.status import DialogueModelStatus
from dialogue_operator.rollout import advance, arms, machine, requests, traffic
from dialogue_operator.rollout.case import Case, Outcome
from dialogue_operator.rollout.observed import Observed
from dialogue_operator.rollout.plan import Plan
from dialogue_operator.rollout.target import reject
from support.exploring.moves import Scope
from support.exploring.scopes import QUICK, VERSIONS
from support.exploring.search import Broken, explore
from support.exploring.wishes import Wish

CANARY = Scope("canary", Wish(strategy="half"), edits=(VERSIONS,), actions=("Abort", "Pause"), most=3000)
SIZES = Scope("sizes", Wish(strategy="half", replicas=2, bake="10s"), edits=(VERSIONS,), most=3000)
ARMS = Scope("arms", Wish(strategy="half", arms="model"), edits=(("arms", ("", "model")),), most=3000)


@pytest.mark.parametrize("scope", QUICK, ids=lambda scope: scope.name)
def test_no_decision_breaks_a_law(scope: Scope) -> None:
    found = explore(scope)
    print(f"{scope.name}: {found}")
    assert found.closed or found.states >= scope.most, found


def test_a_scope_without_a_bound_is_explored_to_its_last_state() -> None:
    found = explore(Scope("one upgrade", Wish(strategy="half"), edits=(("version", (2,)),)))
    assert found.closed, found
    assert found.states > 500, found


# decide, broken on purpose


def _yes(*_: object, **__: object) -> bool:
    return True


def _no(*_: object, **__: object) -> None:
    return None


def _rejected_without_a_record(*asked: Any, **more: Any) -> Outcome:
    status, said = reject(*asked, **more)
    return status.model_copy(update={"rejected_revision": None}), said


def _obeyed_again(case: Case, status: DialogueModelStatus) -> Outcome:
    return requests.obey(case, status.model_copy(update={"request": status.request.model_copy(update={"id": ""})}))


def _retired_at_once(case: Case, status: DialogueModelStatus) -> Outcome:
    kept = tuple(record for record in status.revisions if not record.retire_at)
    return status.model_copy(update={"revisions": kept}), ()


def _half(model: DialogueModel, status: DialogueModelStatus, observed: Observed) -> int:
    return 1 if status.stable_revision else 2


_PLAN = traffic.plan


def _planned_for_the_first_alone(case: Case, status: DialogueModelStatus) -> Plan:
    plan = _PLAN(case, status)
    return replace(plan, revisions=plan.revisions[:1])


@dataclass(frozen=True)
class Mutant:
    """`where.name` is replaced by `value`; exploring `scope` then has to end with `says`."""

    what: str
    says: str
    where: Any
    name: str
    value: Any
    scope: Scope = CANARY


MUTANTS = (
    Mutant("a step ends without a fresh verdict", "ends on verdict", advance, "step_has_passed", _yes),
    Mutant("a failed gate is overlooked", "its gate failed, and it goes on", advance, "step_has_failed", _no),
    Mutant("weight comes before pods", "has no ready pod", Case, "is_ready", _yes),
    Mutant("a candidate without pods keeps its weight", "has no ready pod", advance, "_set_back", lambda c, s: (s, ())),
    Mutant("what never had pods is pinned", "is pinned and has no ready pod", Case, "answers", _yes),
    Mutant("what may carry traffic is pruned", "a route names what is pruned", Observed, "may_carry_traffic", _no),
    Mutant("promotion does not wait for the gateway", "roles_swap_when", Observed, "share_is", _yes, QUICK[0]),
    Mutant("what drains is forgotten", "what_drains_has_its_time", machine, "PARTS", (*machine.PARTS[:-1], _retired_at_once)),
    Mutant("nothing is ever forgotten", "records are left over", machine, "PARTS", machine.PARTS[:-1]),
    Mutant("the plan forgets a revision", "what is recorded has pods", traffic, "plan", _planned_for_the_first_alone),
    Mutant("stable gives up pods early", "stable_keeps_its_full_size", traffic, "full_size", _half, SIZES),
    Mutant("a rejected revision is tried again", "nobody asked", advance, "reject", _rejected_without_a_record),
    Mutant("a request is obeyed again", "states of one key", machine, "PARTS", (_obeyed_again, *machine.PARTS[1:])),
    Mutant("nobody looks again", "a_running_rollout_is_looked_at_again", machine, "_wake_after", _no),
    Mutant("an arm comes back", "an_arm_that_was_thrown_out", arms, "_is_out", _no, ARMS),
)  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_a_broken_decision_is_found(mutant: Mutant) -> None:
    with patch.object(mutant.where, mutant.name, mutant.value), pytest.raises(Broken, match=mutant.says):
        explore(mutant.scope)
