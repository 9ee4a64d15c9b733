"""A canary, one sentence a test."""

import pytest

from dialogue_operator.rollout.evidence import Tally
from support.tallies import tally
from support.world import World, serving

V2 = {"spec__model__version": "2.0.0"}
ERRORS = {"name": "errors", "metric": "errorRate", "margin": "0.5%", "minSamples": 200}
STEPS = [{"weight": 5, "hold": "1m"}, {"weight": 25, "hold": "2m"}, {"weight": 50, "hold": "2m"}]
CANARY = {"spec__rollout__strategy": "Canary", "spec__rollout__steps": STEPS}
GATED = {**CANARY, "spec__rollout__gates": [ERRORS]}


def told(world: World) -> dict[str, int]:
    return dict(world.routes[0].weights)


def at_step(step: int, **spec: object) -> World:
    """A canary whose step `step` has begun, with a gate that has not been asked yet."""
    world = serving(**(GATED | spec)).edit(**V2)
    for _ in range(40):
        world.look()
        if world.status.rollout.step == step and world.status.rollout.step_started_at:
            return world
        if world.status.rollout.step_started_at:
            judge(world, candidate=tally(), control=tally())
            world.wait(120)
    raise AssertionError(f"step {step} not reached: {world.status.rollout}")


def judge(world: World, candidate: Tally, control: Tally) -> None:
    assert world.status.candidate_revision
    assert world.status.stable_revision
    world.tallies = {world.status.candidate_revision: candidate, world.status.stable_revision: control}


def test_a_canary_goes_through_its_steps_and_is_promoted() -> None:
    world = serving(**CANARY)
    old = world.target
    world.edit(**V2)
    seen: list[dict[str, int]] = []
    for _ in range(60):
        world.look()
        if told(world) not in seen[-1:]:
            seen.append(told(world))
        world.wait(30)
    new = world.target
    assert seen == [{old: 100}, {new: 5, old: 95}, {new: 25, old: 75}, {new: 50, old: 50}, {new: 100}]
    assert world.status.stable_revision == new
    assert world.phase == "Stable"
    assert [a.reason for a in world.said[-5:]] == ["StepStarted", "StepStarted", "StepStarted", "Switching", "Promoted"]


def test_a_step_begins_when_the_gateway_has_taken_its_weight_and_lasts_its_time() -> None:
    world = serving(**CANARY).edit(**V2)
    world.look()
    world.step()
    world.wait(3600)
    world.step()
    assert world.status.rollout.step_started_at == "", "the gateway has not taken it: the clock stands still"
    world.accept()
    world.step()
    assert world.status.rollout.step_started_at
    world.wait(59)
    world.step()
    assert world.status.rollout.next_step == 1
    world.wait(1)
    world.step()
    assert world.status.rollout.next_step == 2


@pytest.mark.parametrize(("size", "pods"), [(1, (1, 1, 1)), (10, (1, 3, 5)), (4, (1, 1, 2))])
def test_pods_come_before_weight(size: int, pods: tuple[int, ...]) -> None:
    world = serving(**CANARY, spec__scaling__minReplicas=size).edit(**V2)
    old, new = world.status.stable_revision, world.target
    for step, wanted in enumerate(pods, 1):
        world.step()
        assert world.pods[new].replicas == wanted
        assert world.pods[old or ""].replicas == size, "stable keeps its full size"
        before = told(world).get(new, 0)
        world.step()
        if before and world.pods[new].ready < wanted:
            assert told(world)[new] == before, "weight waits for pods"
        world.come_up()
        world.look(2)
        assert world.status.rollout.step == step
        world.wait(120)
    world.look(4)
    assert world.pods[new].replicas == size


def test_a_step_with_gates_waits_for_evidence_and_goes_on_when_they_pass() -> None:
    world = at_step(1)
    world.wait(61)
    world.tallies = {}
    world.look()
    assert world.status.rollout.next_step == 1, "no data is no success"
    judge(world, candidate=tally(100), control=tally())
    world.look()
    assert world.status.gates[0].verdict == "NoData", "less than the minimum of samples"
    assert world.status.rollout.next_step == 1
    judge(world, candidate=tally(100_000, errors=100), control=tally(100_000, errors=100))
    world.look()
    assert world.status.rollout.next_step == 2
    assert (world.status.gates[0].name, world.status.gates[0].verdict) == ("errors", "Pass")
    assert world.status.gates[0].samples == 100_000
    assert world.status.gates[0].evidence


def test_a_gate_that_fails_puts_everything_on_stable_in_the_same_decision() -> None:
    world = at_step(2)
    stable, bad = world.status.stable_revision, world.target
    judge(world, candidate=tally(2_000, errors=400), control=tally(8_000, errors=8))
    decision = world.step()
    assert decision.plan.traffic == ((stable, 100),)
    assert bad not in decision.plan.pinned, "onAbort Migrate: its conversations go on with stable"
    assert world.status.rejected_revision == bad
    assert world.status.rollout.reason == "GateFailed"
    assert "errors" in world.condition_message("Progressing")
    assert world.phase == "RollingBack"
    world.accept()
    world.step()
    assert world.phase == "Degraded"
    assert [a.reason for a in world.said[-2:]] == ["GateFailed", "Rejected"]


def test_with_on_abort_finish_conversations_end_where_they_are() -> None:
    world = at_step(1, spec__rollout__onAbort="Finish", spec__rollout__drain="1m")
    bad = world.target
    judge(world, candidate=tally(2_000, errors=400), control=tally(8_000, errors=8))
    decision = world.step()
    assert bad in decision.plan.pinned
    assert dict(decision.plan.traffic) == {world.status.stable_revision: 100}
    world.wait(61)
    assert bad not in world.step().plan.pinned
    world.accept()
    world.step()
    assert bad not in world.pods


def test_a_gate_that_cannot_tell_in_time_ends_the_rollout() -> None:
    world = at_step(1, spec__rollout__progressDeadline="5m")
    judge(world, candidate=tally(250, errors=1), control=tally(4_000, errors=20))
    world.wait(60 + 299)
    world.look()
    assert world.phase == "Progressing"
    world.wait(2)
    world.look(2)
    assert world.status.rollout.reason == "GateUndecided"
    assert world.phase == "Degraded"


def test_a_failed_gate_keeps_the_better_arm_while_stable_has_no_pod() -> None:
    world = at_step(1)
    stable, candidate = world.status.stable_revision or "", world.target
    world.fail(stable)
    judge(world, candidate=tally(2_000, errors=400), control=tally(8_000, errors=8))
    decision = world.step()
    assert dict(decision.plan.traffic)[candidate] == 5
    assert world.condition("Progressing") == ("False", "NoHealthyArm")
    world.come_up()
    assert dict(world.step().plan.traffic) == {stable: 100}, "as soon as stable can take it"


def test_a_verdict_of_another_step_is_none_of_this_one() -> None:
    world = at_step(1)
    world.wait(61)
    judge(world, candidate=tally(100_000), control=tally(100_000))
    seen = world.observe()
    world.look(3)
    assert world.status.rollout.step == 2
    world.wait(121)
    world.record(world.decide(seen))
    assert world.status.rollout.next_step == 2


def test_pods_that_are_lost_take_the_traffic_with_them_and_the_steps_begin_anew() -> None:
    world = at_step(2)
    stable, new = world.status.stable_revision, world.target
    world.fail(new)
    assert dict(world.step().plan.traffic) == {stable: 100}
    assert world.status.rollout.setbacks == 1
    world.look(2)
    assert world.status.rollout.step == 1


def test_pods_that_come_and_go_are_given_up() -> None:
    world = at_step(1)
    for _ in range(4):
        world.look(2)
        world.fail(world.target)
        world.step()
    assert world.status.rollout.reason == "Unstable"
    assert world.phase in ("RollingBack", "Degraded")


def test_other_steps_in_the_middle_begin_from_the_first() -> None:
    world = at_step(2)
    world.edit(spec__rollout__steps=[{"weight": 10}, {"weight": 20}])
    world.look(3)
    assert (world.status.rollout.step, world.status.rollout.weight) == (1, 10)
    assert world.status.rollout.setbacks == 0


def test_a_newer_spec_in_the_middle_starts_with_the_newer_revision() -> None:
    world = at_step(2)
    second = world.target
    world.edit(spec__model__version="3.0.0")
    decision = world.step()
    assert world.status.candidate_revision == world.target != second
    assert dict(decision.plan.traffic) == {world.status.stable_revision: 100}


def test_going_back_to_stable_in_the_middle_needs_no_analysis() -> None:
    world = at_step(2)
    world.edit(spec__model__version="1.0.0")
    decision = world.step()
    assert dict(decision.plan.traffic) == {world.status.stable_revision: 100}
    assert world.status.candidate_revision is None


def test_the_old_revision_bakes_at_full_size_then_drains_then_goes() -> None:
    world = serving(**CANARY, spec__rollout__bake="10m", spec__rollout__drain="1m", spec__scaling__minReplicas=3)
    old = world.target
    world.edit(**V2)
    for _ in range(40):
        world.look()
        if world.status.stable_revision == world.target:
            break
        world.wait(60)
    world.step()
    assert world.phase == "Baking"
    assert world.pods[old].replicas == 3
    assert world.condition("RollbackReady") == ("True", "PodsReady")
    world.wait(601)
    world.step()
    assert world.phase == "Draining"
    world.wait(60)
    world.look(3)
    assert world.phase == "Stable"
    assert old not in world.pods


def test_a_revision_that_bakes_takes_back_at_once() -> None:
    world = serving(**CANARY, spec__rollout__bake="10m")
    old = world.target
    world.edit(**V2)
    for _ in range(40):
        world.look()
        world.wait(20)
        if world.phase == "Baking":
            break
    world.edit(spec__model__version="1.0.0")
    decision = world.step()
    assert dict(decision.plan.traffic) == {old: 100}


def test_without_stickiness_nobody_is_pinned() -> None:
    assert at_step(1, spec__rollout__stickiness="None").step().plan.pinned == ()
    world = at_step(1)
    assert set(world.step().plan.pinned) == {world.target, world.status.stable_revision}


def test_a_candidate_that_grows_keeps_its_share_while_kserve_calls_it_not_ready() -> None:
    world = at_step(1, spec__scaling__minReplicas=8)
    world.tallies = {}
    judge(world, candidate=tally(), control=tally())
    world.wait(61)
    world.step()
    assert world.pods[world.target].replicas == 2, "it grows for 25 %"
    world.pods[world.target].kserve_says_ready = False
    world.step()
    assert told(world)[world.target] == 5
    assert world.status.rollout.setbacks == 0


def test_an_abort_does_not_wait_for_a_stable_revision_that_kserve_calls_not_ready() -> None:
    world = at_step(2)
    stable = world.status.stable_revision or ""
    world.pods[stable].kserve_says_ready = False
    judge(world, candidate=tally(2_000, errors=400), control=tally(8_000, errors=8))
    assert dict(world.step().plan.traffic) == {stable: 100}
