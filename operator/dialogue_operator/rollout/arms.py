"""Experiments and the shadow: revisions beside the stable one, which they differ from by what their overrides say.

They build on the stable revision, not on the spec: while a new revision is on its way they stay what they are, and are
made anew when it is promoted. An arm whose gate fails loses its share until the experiment is edited.
"""

from dataclasses import dataclass

from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.api.spec import ServingSpec
from dialogue_operator.api.status import DialogueModelStatus
from dialogue_operator.rollout.case import Case, Outcome, Said, normal, warning
from dialogue_operator.rollout.judgement import is_the_same, judged
from dialogue_operator.rollout.records import added, changed, let_go, record_of
from dialogue_operator.rollout.revision import overridden, revision_of
from dialogue_operator.rollout.timing import format_time

SHADOW = "shadow"


@dataclass(frozen=True)
class ArmPlan:
    """One arm, or the shadow: `weight` is its percentage of new conversations, or of those that are copied to it."""

    name: str
    revision: str
    serving: ServingSpec
    weight: int

    @property
    def is_shadow(self) -> bool:
        return self.name == SHADOW


def wanted_arms(model: DialogueModel, status: DialogueModelStatus) -> tuple[ArmPlan, ...]:
    """Those that the spec asks for and no gate has thrown out."""
    return tuple(arm for arm in _asked_for(model, status) if not _is_out(status, arm.revision))


def _asked_for(model: DialogueModel, status: DialogueModelStatus) -> tuple[ArmPlan, ...]:
    """Those that the spec asks for; none before a revision serves."""
    stable = record_of(status, status.stable_revision)
    if stable is None:
        return ()
    asked = [(arm.name, arm.overrides, arm.weight) for arm in model.spec.experiment.arms]
    if model.spec.shadow:
        asked.append((SHADOW, model.spec.shadow.overrides, model.spec.shadow.percent))
    found = []
    for name, overrides, weight in asked:
        serving = overridden(stable.serving, overrides)
        found.append(ArmPlan(name, revision_of(serving, name), serving, weight))
    return tuple(found)


def _is_out(status: DialogueModelStatus, revision: str) -> bool:
    failed = any(v.step == 0 and v.revision == revision and v.verdict == "Fail" for v in status.gates)
    return failed and not is_the_same(status, revision)


def arrange(case: Case, status: DialogueModelStatus) -> Outcome:
    """Arms come, go and are judged."""
    said: Said = ()
    wanted = {arm.revision: arm for arm in wanted_arms(case.model, status)}
    for record in status.revisions:
        if record.arm and not record.retire_at and record.revision not in wanted:
            had = record.since or any(route.weights.get(record.revision) for route in case.observed.routes)
            ends = bool(had) and record.arm != SHADOW and not _is_out(status, record.revision)
            status = let_go(case.model, status, record.revision, case.now, drains=ends)
    for arm in wanted.values():
        known = record_of(status, arm.revision)
        if known is None or known.retire_at:
            status = added(status, arm.revision, arm.serving, arm.name)
            said += normal("ArmStarted", f"arm {arm.name}: revision {arm.revision} is coming up")
        elif not known.since and not arm.is_shadow and case.observed.share_is(arm.revision, arm.weight):
            status = changed(status, arm.revision, since=format_time(case.now))
    if status.candidate_revision:
        return status, said
    gates = case.model.spec.rollout.gates
    for arm in wanted.values():
        if not arm.is_shadow:
            same = is_the_same(status, arm.revision)
            status, more = judged(case, status, arm.revision, 0, gates, len(wanted), aa=same)
            said += more
            if _is_out(status, arm.revision):
                said += warning("ArmStopped", f"arm {arm.name}: revision {arm.revision} loses its share")
                status = let_go(case.model, status, arm.revision, case.now, drains=False)
    return _without_verdicts_of_others(case.model, status), said


def _without_verdicts_of_others(model: DialogueModel, status: DialogueModelStatus) -> DialogueModelStatus:
    """A verdict on an arm is forgotten with the arm; one that threw it out is kept while the spec still asks for it."""
    if record_of(status, status.stable_revision) is None:
        return status
    asked = {arm.revision for arm in _asked_for(model, status) if not arm.is_shadow}
    gates = tuple(v for v in status.gates if v.step > 0 or v.revision in asked)
    return status.model_copy(update={"gates": gates})
