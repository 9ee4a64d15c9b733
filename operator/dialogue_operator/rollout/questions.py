"""What a decision will want to know that no Kubernetes object says: counts of requests, and golden dialogues."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.api.rollout import Gate
from dialogue_operator.api.status import DialogueModelStatus
from dialogue_operator.rollout.golden import PASSED
from dialogue_operator.rollout.stages import stage_at, stages_of
from dialogue_operator.rollout.timing import parse_time


@dataclass(frozen=True)
class Count:
    """What these revisions (each with the one in whose pods it runs) did since a moment, as these gates look at it."""

    revisions: Mapping[str, str]
    since: datetime
    rollout_id: int
    step: int
    gates: Sequence[Gate]


@dataclass(frozen=True)
class Questions:
    """Where there is nothing to ask: None, and an empty name."""

    count: Count | None = None
    golden: str = ""  # the revision that shall answer golden dialogues


def questions(model: DialogueModel, status: DialogueModelStatus) -> Questions:
    """From the record alone, so that a decision on that record can use the answers."""
    rollout, candidate = status.rollout, status.candidate_revision
    if candidate:
        golden = candidate if model.spec.preflight and not rollout.step and rollout.preflight != PASSED else ""
        if not rollout.step or not rollout.step_started_at:
            return Questions(golden="" if rollout.at_once else golden)
        gates = stage_at(stages_of(model, status), rollout.step).gates
        asked = [candidate]
        since = rollout.step_started_at
    else:
        gates = model.spec.rollout.gates
        arms = [r for r in status.revisions if r.arm and r.since and not r.retire_at]
        asked, since = [r.revision for r in arms], max((r.since for r in arms), default="")
    if not gates or not asked:
        return Questions()
    pods = {r.revision: r.pods or r.revision for r in status.revisions}
    everyone = [*asked, *([status.stable_revision] if status.stable_revision else [])]
    step = rollout.step if candidate else 0
    revisions = {revision: pods[revision] for revision in everyone if revision in pods}
    return Questions(Count(revisions, parse_time(since), rollout.id, step, gates))
