"""What exploration found, as the shortest story of each: none of it may come back."""

from support.tallies import tally
from support.world import World, serving

V2 = {"spec__model__version": "2.0.0"}
ERRORS = {"name": "errors", "metric": "errorRate", "margin": "0.5%", "minSamples": 200}
CANARY = {
    "spec__rollout__strategy": "Canary",
    "spec__rollout__steps": [{"weight": 10, "hold": "1m"}, {"weight": 50, "hold": "1m"}],
    "spec__rollout__gates": [ERRORS],
    "spec__rollout__progressDeadline": "5m",
}
BAD, GOOD = tally(2_000, errors=400), tally(9_000)


def ask(world: World, action: str, id_: str, **more: str) -> None:
    world.edit(spec__rollout__request={"id": id_, "action": action, **more})
    world.step()


def canary(**spec: object) -> World:
    """In its first step, which the gateway has taken."""
    world = serving(**(CANARY | spec)).edit(**V2)
    world.look(3)
    assert world.status.rollout.step_started_at
    return world


def judge(world: World, candidate: object, control: object = GOOD) -> None:
    world.tallies = {world.target: candidate, world.status.stable_revision or "": control}  # type: ignore[dict-item]


def promoted() -> World:
    """Version 2 serves, version 1 is history."""
    world = serving().edit(**V2)
    world.look(4)
    assert world.status.stable_revision == world.target
    return world


def test_a_gate_that_fails_while_pods_grow_for_the_next_step_ends_the_rollout() -> None:
    world = canary(spec__scaling__minReplicas=10)
    judge(world, tally(100_000, errors=100), tally(100_000, errors=100))
    world.wait(61)
    world.step()
    assert (world.status.rollout.step, world.status.rollout.next_step) == (1, 2)
    judge(world, BAD)
    decision = world.step()
    assert decision.plan.traffic == ((world.status.stable_revision, 100),)
    assert world.status.rollout.reason == "GateFailed"


def test_a_gate_that_failed_while_stable_was_away_has_failed_when_it_is_back() -> None:
    world = canary()
    stable = world.status.stable_revision or ""
    world.fail(stable)
    judge(world, BAD)
    world.step()
    assert world.status.rollout.reason == "NoHealthyArm"
    world.tallies = {}  # and now nobody can tell
    world.step()
    world.come_up(stable)
    assert world.step().plan.traffic == ((stable, 100),)


def test_what_is_late_with_more_pods_is_kept_while_stable_has_none() -> None:
    world = canary(spec__scaling__minReplicas=2)
    stable, candidate = world.status.stable_revision or "", world.target
    ask(world, "Promote", "1")
    world.fail(stable)
    world.pods[candidate].ready = 1
    world.wait(301)
    assert dict(world.step().plan.traffic)[candidate] == 10, "the only one that answers"
    assert world.status.rollout.reason == "NoHealthyArm"
    assert world.step().announcements == ()
    world.come_up(stable)
    assert world.step().plan.traffic == ((stable, 100),)


def test_a_pause_that_comes_too_late_is_refused() -> None:
    world = serving().edit(**V2)
    world.step()
    world.come_up()
    world.step()
    assert world.status.rollout.weight == 100
    ask(world, "Pause", "1")
    assert "told to take all traffic" in world.status.request.problem
    world.look(2)
    assert (world.status.stable_revision, world.status.rollout.paused) == (world.target, "")


def test_a_rollback_that_is_called_off_holds_nothing_back() -> None:
    world = promoted()
    ask(world, "Rollback", "1")
    ask(world, "Abort", "2")
    assert world.status.stable_revision == world.target
    assert world.status.rejected_revision is None


def test_a_retry_of_what_still_serves_calls_the_rollback_off() -> None:
    world = promoted()
    ask(world, "Rollback", "1")
    ask(world, "Retry", "2")
    assert world.status.stable_revision == world.target
    assert world.status.candidate_revision is None
    assert world.step().plan.traffic == ((world.target, 100),)


def test_a_rollback_to_what_is_held_back_holds_it_back_no_longer() -> None:
    world = promoted()
    second = world.target
    ask(world, "Rollback", "1")
    world.look(3)
    assert world.status.rejected_revision == second
    ask(world, "Rollback", "2", revision=second)
    assert world.status.candidate_revision == second
    assert world.status.rejected_revision is None
    world.look(3)
    assert world.status.stable_revision == second


def test_an_arm_that_never_was_ready_does_not_drain() -> None:
    arm = {"name": "other", "weight": 20, "overrides": {"model": {"uri": "builtin://other"}}}
    world = serving().edit(spec__experiment__arms=[arm])
    world.step()
    world.edit(spec__experiment__arms=[])
    assert world.step().plan.pinned == (world.target,)


def test_what_was_told_but_never_routed_is_not_pinned_to_drain_without_pods() -> None:
    world = serving(spec__rollout__onAbort="Finish", **CANARY).edit(**V2)
    stable, candidate = world.status.stable_revision, world.target
    world.step()
    world.come_up()
    world.record(world.decide())  # a crash before it is applied
    assert world.status.rollout.weight == 10
    world.fail(candidate)
    world.edit(spec__model__version="1.0.0")
    assert world.step().plan.pinned == (stable,)


def test_an_arm_that_failed_does_not_come_back_with_the_next_candidate() -> None:
    arm = {"name": "other", "weight": 20, "overrides": {"model": {"uri": "builtin://other"}}}
    world = serving(spec__rollout__gates=[ERRORS]).edit(spec__experiment__arms=[arm])
    world.look(4)
    other = next(r.revision for r in world.status.revisions if r.arm)
    world.tallies = {other: BAD, world.target: GOOD}
    world.look(2)
    assert "ArmStopped" in [said.reason for said in world.said]
    world.edit(**V2)
    world.step()
    ask(world, "Abort", "1")
    world.edit(spec__model__version="3.0.0")
    world.look()
    assert other not in {r.revision for r in world.status.revisions}
