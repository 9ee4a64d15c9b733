"""A strategy as stages: what share, for how long, judged by which gates. The last one is always all the traffic."""

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta

from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.api.rollout import Gate
from dialogue_operator.api.status import DialogueModelStatus
from dialogue_operator.api.values import parse_duration


@dataclass(frozen=True)
class Stage:
    """`size` is the percentage of the traffic that its pods must be able to carry before it begins."""

    weight: int
    size: int
    hold: timedelta = timedelta()
    gates: tuple[Gate, ...] = ()
    preview: bool = False


ALL = Stage(weight=100, size=100)


def stages_of(model: DialogueModel, status: DialogueModelStatus) -> tuple[Stage, ...]:
    """The stages before the last one: none for the first revision, and for one that takes over at once."""
    rollout = model.spec.rollout
    if status.stable_revision is None or status.rollout.at_once:
        return ()
    if rollout.strategy == "BlueGreen":
        return (Stage(0, 100, parse_duration(rollout.preview), rollout.gates, preview=True),)
    by_name = {gate.name: gate for gate in rollout.gates}
    return tuple(
        Stage(
            step.weight,
            step.weight,
            parse_duration(step.hold),
            rollout.gates if step.gates is None else tuple(by_name[name] for name in step.gates),
        )
        for step in rollout.steps
    )


def stage_at(stages: tuple[Stage, ...], step: int) -> Stage:
    """Steps count from 1; beyond the last is all the traffic."""
    return stages[step - 1] if step <= len(stages) else ALL


def hash_of(stages: tuple[Stage, ...]) -> str:
    """Of what a person would call the steps: shares and times. Gates may be mended while it runs."""
    shape = [[stage.weight, stage.size, stage.hold.total_seconds()] for stage in stages]
    return hashlib.sha256(json.dumps(shape).encode()).hexdigest()[:8]
