"""What makes a new revision, and what does not."""

from typing import Any

import pytest

from dialogue_operator.rollout.machine import decide
from support.world import serving


@pytest.mark.parametrize(
    "change",
    [
        {"spec__scaling__minReplicas": 4},
        {"spec__rollout__drain": "5m"},
        {"spec__rollout__progressDeadline": "1h"},
        {"metadata__labels": {"team": "x"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_does_not_reach_the_process_never_starts_a_rollout(change: dict[str, Any]) -> None:
    world = serving()
    before = world.status.rollout.id
    decision = world.edit(**change).step()
    assert world.status.rollout.id == before
    assert len(decision.plan.revisions) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"spec__model__version": "1.0.1"},
        {"spec__model__uri": "pvc://models/a"},
        {"spec__model__digest": "sha256:" + "0" * 64},
        {"spec__runtime__precision": "bf16"},
        {"spec__runtime__image": "example.com/predictor:2"},
        {"spec__runtime__resources__cpu": "2"},
        {"spec__generation__numBeams": 1},
        {"spec__dialogue__maxTurns": 3},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_reaches_the_process_starts_a_rollout(change: dict[str, Any]) -> None:
    world = serving()
    old = world.target
    decision = world.edit(**change).step()
    assert world.target != old
    assert world.status.candidate_revision == world.target
    assert decision.announcements[0].reason == "RolloutStarted"


def test_an_operator_upgrade_rolls_nobodys_models() -> None:
    world = serving()
    decision = decide(world.model, world.observe(), world.now, "example.com/predictor:next", "models.example.com")
    assert [r.serving.runtime.image for r in decision.plan.revisions] == ["example.com/predictor:1"]
    assert decision.status.rollout.id == world.status.rollout.id


def test_a_converged_world_needs_no_looking_after() -> None:
    world = serving()
    decision = world.step()
    assert decision.wake_after is None
    assert decision.announcements == ()
    assert world.decide() == decision
