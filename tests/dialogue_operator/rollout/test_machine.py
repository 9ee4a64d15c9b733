"""The rollout, one sentence a test."""

import pytest

from dialogue_operator.api.status import DialogueModelStatus
from support.world import World, serving

V2 = {"spec__model__version": "2.0.0"}


def test_a_new_object_gets_pods_but_no_routes_before_they_are_ready() -> None:
    world = World()
    decision = world.step()
    assert [r.revision for r in decision.plan.revisions] == [world.target]
    assert decision.plan.traffic == ()
    assert world.status.phase == "Preparing"
    assert world.condition("Ready") == ("False", "NoRevisionReady")
    assert world.routes == []


def test_the_first_revision_that_is_ready_gets_all_traffic() -> None:
    world = World()
    world.step()
    world.come_up()
    decision = world.step()
    assert decision.plan.traffic == ((world.target, 100),)
    assert world.status.phase == "Switching"


def test_a_revision_is_stable_only_when_the_gateway_has_taken_its_routes() -> None:
    world = World()
    world.step()
    world.come_up()
    world.step()
    world.step()
    assert world.status.stable_revision is None
    world.accept()
    world.step()
    assert world.status.stable_revision == world.target
    assert world.status.phase == "Stable"
    assert world.condition("Ready") == ("True", "Serving")
    assert [t.weight for t in world.status.traffic] == [100]
    assert world.status.url == "http://concierge.assistants.models.example.com"


def test_the_intent_to_move_traffic_is_recorded_in_the_decision_that_moves_it() -> None:
    world = serving().edit(**V2)
    world.step()
    world.come_up()
    decision = world.decide()
    assert decision.status.rollout.weight == 100
    assert decision.plan.traffic == ((world.target, 100),)


def test_the_old_revision_keeps_all_traffic_until_the_new_one_is_ready_at_full_size() -> None:
    world = serving(spec__scaling__minReplicas=3)
    old = world.status.stable_revision
    world.edit(**V2)
    world.step()
    world.pods[world.target].ready = 2
    assert world.step().plan.traffic == ((old, 100),)
    world.pods[world.target].ready = 3
    assert world.step().plan.traffic == ((world.target, 100),)


def test_after_promotion_the_old_revision_answers_its_own_conversations_until_it_has_drained() -> None:
    world = serving(spec__rollout__drain="30s")
    old = world.status.stable_revision
    assert old
    world.edit(**V2)
    world.step()
    world.come_up()
    world.step()
    world.accept()
    decision = world.step()
    assert world.status.phase == "Draining"
    assert set(decision.plan.pinned) == {old, world.target}
    assert decision.wake_after == pytest.approx(30)
    world.wait(29.9)
    assert old in {r.revision for r in world.step().plan.revisions}
    world.wait(0.2)
    decision = world.step()
    assert decision.plan.pinned == (world.target,)
    assert decision.plan.prune == (), "the observed routes still name it"
    assert world.step().plan.prune == (), "the gateway has not taken the new routes yet"
    world.accept()
    decision = world.step()
    assert decision.plan.prune == (old,)
    assert decision.status.phase == "Stable"


def test_going_back_to_the_stable_revision_moves_all_traffic_there_at_once() -> None:
    world = serving()
    stable = world.status.stable_revision
    world.edit(**V2)
    world.step()
    world.come_up()
    world.step()
    assert world.status.phase == "Switching"
    world.edit(spec__model__version="1.0.0")
    decision = world.step()
    assert decision.plan.traffic == ((stable, 100),)
    assert world.status.candidate_revision is None
    assert [a.reason for a in decision.announcements] == ["RolledBack"]


def test_going_back_to_a_revision_that_still_drains_needs_no_new_pods() -> None:
    world = serving(spec__rollout__drain="10m")
    old = world.target
    world.edit(**V2)
    for _ in range(3):
        world.step()
        world.come_up()
        world.accept()
    world.step()
    assert world.status.phase == "Draining"
    world.edit(spec__model__version="1.0.0")
    decision = world.step()
    assert decision.plan.traffic == ((old, 100),)
    assert {r.revision for r in decision.plan.revisions} == set(world.pods)


def test_a_revision_that_was_taken_back_is_not_taken_down_when_its_drain_would_have_ended() -> None:
    world = serving(spec__rollout__drain="1m")
    old = world.target
    world.edit(**V2)
    for _ in range(4):
        world.step()
        world.come_up()
        world.accept()
    assert world.status.phase == "Draining"
    world.edit(spec__model__version="1.0.0").heal()
    world.wait(3600)
    decision = world.step()
    assert [r.revision for r in decision.plan.revisions] == [old]
    assert world.pods.keys() == {old}


@pytest.mark.parametrize("flaw", ["kserve_says_ready", "deleting"])
def test_ready_pods_are_not_enough_while_their_service_is_not_ready_or_goes(flaw: str) -> None:
    world = serving().edit(**V2)
    world.step()
    world.come_up()
    setattr(world.pods[world.target], flaw, flaw == "deleting")
    world.step()
    assert world.status.phase == "Preparing"


def test_a_status_lost_in_a_restore_is_found_again_without_moving_traffic() -> None:
    world = serving()
    world.status = DialogueModelStatus()
    pods = dict(world.pods)
    for _ in range(3):
        decision = world.step()
        assert decision.plan.prune == ()
        assert decision.plan.traffic in {(), ((world.target, 100),)}
    assert world.status.stable_revision == world.target
    assert world.pods == pods


def test_a_newer_spec_supersedes_a_rollout_that_runs() -> None:
    world = serving().edit(**V2)
    world.step()
    second = world.target
    world.edit(spec__model__version="3.0.0")
    decision = world.step()
    assert world.status.candidate_revision == world.target != second
    assert decision.plan.prune == (second,)
    assert world.status.rollout.id == 3


def test_a_revision_that_is_not_ready_in_time_is_given_up_and_the_stable_one_keeps_serving() -> None:
    world = serving(spec__rollout__progressDeadline="10m")
    stable = world.status.stable_revision
    world.edit(**V2)
    world.step()
    bad = world.target
    world.fail(bad, "DigestMismatch", "expected sha256:1, got sha256:2")
    world.step()
    assert world.condition("Progressing") == ("False", "DigestMismatch")
    world.wait(601)
    decision = world.step()
    assert world.status.phase == "Degraded"
    assert decision.plan.traffic == ((stable, 100),)
    assert decision.plan.prune == (bad,)
    assert world.condition("Ready") == ("True", "Serving")
    assert "Rejected" in [a.reason for a in decision.announcements]


def test_a_rejected_revision_is_not_tried_again_until_the_spec_changes() -> None:
    world = _rejected()
    bad = world.target
    for _ in range(3):
        world.wait(3600)
        world.edit(spec__scaling__minReplicas=2)
        assert bad not in {r.revision for r in world.step().plan.revisions}
    world.edit(spec__model__version="1.0.0")
    world.step()
    assert world.status.phase == "Stable"
    world.edit(**V2)
    world.step()
    assert world.status.candidate_revision == bad


def test_the_first_revision_is_never_given_up_because_nothing_else_could_serve() -> None:
    world = World()
    world.step()
    world.wait(3600)
    decision = world.step()
    assert [a.reason for a in decision.announcements] == ["ProgressDeadlineExceeded"]
    assert world.status.candidate_revision == world.target
    assert world.heal() <= 5


def test_a_candidate_that_stops_being_ready_gives_the_traffic_back() -> None:
    world = serving()
    stable = world.status.stable_revision
    world.edit(**V2)
    world.step()
    world.come_up()
    world.step()
    world.fail(world.target)
    assert world.step().plan.traffic == ((stable, 100),)
    assert world.status.phase == "Preparing"


def test_a_candidate_superseded_in_its_first_switch_keeps_its_pods_while_routes_name_it() -> None:
    world = World()
    world.step()
    world.come_up()
    world.step()
    world.accept()
    first = world.target
    world.edit(**V2)
    decision = world.step()
    assert decision.plan.traffic == ()
    assert decision.plan.prune == ()
    assert first in world.pods
    world.heal()
    assert set(world.pods) == {world.target}


def test_a_revision_deleted_by_hand_is_made_again() -> None:
    world = serving()
    world.pods.clear()
    decision = world.step()
    assert [r.revision for r in decision.plan.revisions] == [world.target]
    assert world.condition("Ready") == ("False", "NoReadyPod")
    assert world.heal() <= 3


def test_a_host_that_another_object_holds_stops_routes_and_says_so() -> None:
    world = World(host_conflict="HTTPRoute other/concierge")
    world.step()
    world.come_up()
    decision = world.step()
    assert decision.plan.traffic == ()
    assert world.condition("Accepted") == ("False", "HostConflict")
    assert world.condition("Progressing") == ("False", "HostConflict")
    assert world.heal() <= 5


def test_promotions_that_follow_each_other_faster_than_they_drain_do_not_pile_up_pods() -> None:
    world = serving(spec__rollout__drain="24h")
    for number in range(30):
        world.edit(spec__model__version=f"2.0.{number}")
        for _ in range(5):
            world.step()
            world.come_up()
            world.accept()
            world.wait(1)
        assert world.status.stable_revision == world.target
    assert len(world.status.revisions) == 5
    assert len(world.pods) == 5


def test_a_time_in_a_condition_moves_only_with_its_status() -> None:
    world = serving()
    before = {c.type: c.last_transition_time for c in world.status.conditions}
    world.wait(3600)
    world.step()
    assert {c.type: c.last_transition_time for c in world.status.conditions} == before
    world.pods.clear()
    world.step()
    after = {c.type: c.last_transition_time for c in world.status.conditions}
    assert after["Ready"] > before["Ready"]
    assert after["Accepted"] == before["Accepted"]


def _rejected() -> World:
    world = serving().edit(**V2)
    world.step()
    world.fail(world.target)
    world.wait(3600)
    world.step()
    assert world.status.phase == "Degraded"
    return world
