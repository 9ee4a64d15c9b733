"""docs/rollouts.md names what the code says: phases, Events, conditions, verbs, verdicts."""

import re
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest

import dialogue_operator.rollout
from dialogue_operator.api.rollout import Action, Strategy
from dialogue_operator.api.status import Phase, Verdict
from support.phases import TRIGGERS, WORLDS, Transition, diagram, transitions
from support.samples import ROOT
from support.world import serving

PAGE = (ROOT / "docs/rollouts.md").read_text(encoding="utf-8")
CODE = "".join(
    path.read_text(encoding="utf-8") for path in Path(dialogue_operator.rollout.__file__).parent.rglob("*.py")
)
EVENTS = sorted({*re.findall(r"\b(?:normal|warning)\(\s*\"([A-Z]\w+)\"", CODE)})
CONDITIONS = sorted({*re.findall(r"\bcondition\(\s*\"([A-Z]\w+)\"", CODE)})


@pytest.fixture(scope="module")
def found() -> list[Transition]:
    return transitions()


@pytest.mark.parametrize("word", [*EVENTS, *CONDITIONS, *get_args(Action), *get_args(Strategy), *get_args(Verdict)])
def test_what_people_meet_is_explained(word: str) -> None:
    assert f"`{word}`" in PAGE or f"`action: {word}`" in PAGE


def test_events_and_conditions_were_found_in_the_code() -> None:
    assert {"RolloutStarted", "StepStarted", "Promoted", "GateFailed"} <= {*EVENTS}
    assert {"Accepted", "Ready", "Progressing", "RollbackReady", "GatesTrusted"} <= {*CONDITIONS}


def test_every_phase_is_drawn(found: list[Transition]) -> None:
    reached = {one.after for one in found} | {one.before for one in found}
    assert reached == set(get_args(Phase))


def test_every_trigger_leads_somewhere_or_changes_no_phase(found: list[Transition]) -> None:
    assert {*TRIGGERS} - {one.trigger for one in found} == {"gates pass", "hold is over"}


def test_nothing_is_left_to_be_tried(found: list[Transition]) -> None:
    assert transitions(WORLDS // 2) == found


def test_the_way_of_a_good_canary_and_of_a_bad_one(found: list[Transition]) -> None:
    good = ["Stable", "Preparing", "Progressing", "Switching", "Baking", "Draining", "Stable"]
    arrows = {(one.before, one.after) for one in found}
    assert set(pairwise(good)) <= arrows
    assert Transition("Progressing", "RollingBack", "a gate fails") in found
    assert ("RollingBack", "Degraded") in arrows
    assert not {one.after for one in found if one.trigger == "a gate fails"} & {"Switching", "Baking", "Stable"}


def test_the_diagram_is_mermaid(found: list[Transition]) -> None:
    lines = diagram(found).split("```")[1].splitlines()
    assert lines[:2] == ["mermaid", "stateDiagram-v2"]
    assert all(re.fullmatch(r"    (\[\*\]|\w+) --> \w+(: [\w<>/ ]+)?", line) for line in lines[2:])


def test_a_rollback_comes_to_rest() -> None:
    world = serving().edit(spec__model__version="2.0.0")
    world.heal(40)
    world.edit(spec__rollout__request={"id": "1", "action": "Rollback"})
    world.heal(40)
    assert (world.status.phase, world.status.stable_version) == ("Stable", "1.0.0")
