"""Verbs: each id is obeyed once, or refused with one clear reason."""

import pytest

from dialogue_operator.rollout.plan import Decision
from support.world import World, serving

V2 = {"spec__model__version": "2.0.0"}
STEPS = [{"weight": 10, "hold": "1m"}, {"weight": 50, "hold": "1m"}]
CANARY = {"spec__rollout__strategy": "Canary", "spec__rollout__steps": STEPS}


def ask(world: World, action: str, id_: str = "1", **more: str) -> Decision:
    world.edit(spec__rollout__request={"id": id_, "action": action, **more})
    return world.step()


def canary() -> World:
    """A canary in its first step."""
    world = serving(**CANARY).edit(**V2)
    world.look(3)
    assert (world.status.rollout.step, world.status.rollout.weight) == (1, 10)
    world.step()
    return world


def test_promote_skips_the_steps_that_are_left() -> None:
    world = canary()
    ask(world, "Promote")
    world.look(4)
    assert world.status.stable_revision == world.target
    assert (world.status.request.id, world.status.request.problem) == ("1", "")


def test_pause_stops_the_clock_and_resume_begins_the_step_anew() -> None:
    world = canary()
    ask(world, "Pause")
    assert world.phase == "Paused"
    world.wait(86_400)
    world.look(3)
    assert (world.status.rollout.step, world.status.rollout.next_step) == (1, 1)
    ask(world, "Resume", "2")
    world.wait(59)
    world.look()
    assert world.status.rollout.next_step == 1
    world.wait(1)
    world.look()
    assert world.status.rollout.next_step == 2


def test_abort_gives_everything_to_stable_in_the_same_decision() -> None:
    world = canary()
    decision = ask(world, "Abort")
    assert dict(decision.plan.traffic) == {world.status.stable_revision: 100}
    assert world.status.rollout.outcome == "Aborted"
    world.look(4)
    assert world.phase == "Degraded"
    assert world.status.candidate_revision is None


def test_retry_tries_the_same_revision_again_and_counts() -> None:
    world = canary()
    ask(world, "Abort")
    world.look(4)
    ask(world, "Retry", "2")
    assert world.status.candidate_revision == world.target
    assert world.status.rollout.attempt == 2
    world.look(3)
    assert world.status.rollout.step == 1


def test_rollback_goes_back_at_once_and_holds_the_specs_revision_back() -> None:
    world = canary()
    ask(world, "Promote")
    for _ in range(6):
        world.look()
        world.wait(60)
    old = world.status.history[1].revision
    assert old not in world.pods
    decision = ask(world, "Rollback", "2")
    assert world.status.candidate_revision == old
    assert {r.revision for r in decision.plan.revisions} == {old, world.target}
    world.look(3)
    assert world.status.stable_revision == old
    assert world.status.rejected_revision == world.target
    for _ in range(4):
        world.wait(3600)
        world.look()
    assert world.status.stable_revision == old
    assert set(world.pods) == {old}
    ask(world, "Retry", "3")
    assert world.status.candidate_revision == world.target


def test_rollback_in_the_middle_goes_back_to_stable() -> None:
    world = canary()
    decision = ask(world, "Rollback")
    assert dict(decision.plan.traffic) == {world.status.stable_revision: 100}
    assert world.status.candidate_revision is None
    world.look(3)
    assert world.status.candidate_revision is None


@pytest.mark.parametrize(
    ("action", "more", "words"),
    [
        ("Promote", {}, "no rollout is running"),
        ("Pause", {}, "no rollout is running"),
        ("Resume", {}, "no rollout is running"),
        ("Abort", {}, "no rollout is running"),
        ("Retry", {}, "was not rejected"),
        ("Rollback", {}, "no earlier revision"),
        ("Rollback", {"revision": "0123abcd"}, "revision 0123abcd is gone; kept are"),
    ],
)
def test_a_verb_that_makes_no_sense_is_refused_once_with_its_reason(
    action: str, more: dict[str, str], words: str
) -> None:
    world = serving()
    before = world.status.stable_revision
    decision = ask(world, action, **more)
    assert [a.reason for a in decision.announcements] == ["RequestRefused"]
    assert words in world.status.request.problem
    assert world.condition("Accepted") == ("True", "RequestRefused")
    assert world.status.stable_revision == before
    assert world.step().announcements == ()


def test_an_id_is_obeyed_once() -> None:
    world = canary()
    ask(world, "Pause")
    ask(world, "Abort", "1")
    assert world.status.candidate_revision, "not obeyed"
    assert "id 1 was used before, for Pause" in world.status.request.problem
    ask(world, "Abort", "2")
    assert world.status.candidate_revision is None


def test_a_request_that_stays_in_the_spec_does_nothing_again() -> None:
    world = canary()
    ask(world, "Abort")
    world.look(3)
    world.edit(spec__model__version="3.0.0")
    world.look(3)
    assert world.status.rollout.step == 1
