"""Pointing the rollout at what the spec asks for: start it, supersede it, call it off, or go back."""

from dialogue_operator.api.spec import ServingSpec
from dialogue_operator.api.status import DialogueModelStatus, GateVerdict, RolloutStatus
from dialogue_operator.api.status import Outcome as Ending
from dialogue_operator.rollout.case import Case, Outcome, normal, warning, with_rollout
from dialogue_operator.rollout.records import added, let_go, record_of
from dialogue_operator.rollout.revision import revision_of, serving_spec
from dialogue_operator.rollout.stages import hash_of, stages_of
from dialogue_operator.rollout.timing import format_time


def aim(case: Case, status: DialogueModelStatus) -> Outcome:
    serving = serving_spec(case.model.spec)
    target = revision_of(serving)
    if status.rejected_revision == target:
        return status, ()
    if status.rejected_revision:  # the spec has moved on: what was rejected says nothing about what it asks now
        status = _forget(status)
    if target == status.candidate_revision:
        return status, ()
    if target == status.stable_revision:
        if not status.candidate_revision:
            return status, ()
        status = drop_candidate(case, status, "Superseded")
        return status, normal("RolledBack", f"the spec asks for revision {target} again, which still serves")
    if status.candidate_revision:
        status = drop_candidate(case, status, "Superseded")
    known = record_of(status, target)
    served_before = known is not None and any(entry.revision == target for entry in status.history)
    status = begin(case, status, target, serving, at_once=served_before)
    label = case.model.spec.model.version or case.model.spec.model.uri
    return status, normal("RolloutStarted", f"revision {target} ({label}) is coming up")


def _forget(status: DialogueModelStatus) -> DialogueModelStatus:
    status = status.model_copy(update={"rejected_revision": None})
    if status.candidate_revision or status.rollout.outcome in ("", "Promoted"):
        return status
    return status.model_copy(update={"rollout": RolloutStatus(id=status.rollout.id), "gates": _of_arms(status)})


def begin(
    case: Case, status: DialogueModelStatus, revision: str, serving: ServingSpec, at_once: bool, attempt: int = 1
) -> DialogueModelStatus:
    """A new rollout of this revision; whoever was the candidate has been dropped before."""
    if serving.runtime.image is None:
        serving = serving.model_copy(
            update={"runtime": serving.runtime.model_copy(update={"image": case.default_image})}
        )
    status = added(status, revision, serving)
    now = format_time(case.now)
    rollout = RolloutStatus(
        id=status.rollout.id + 1, revision=revision, attempt=attempt, at_once=at_once, started_at=now, waiting_since=now
    )
    status = status.model_copy(update={"candidate_revision": revision, "rollout": rollout, "gates": _of_arms(status)})
    return with_rollout(status, stages=hash_of(stages_of(case.model, status)))


def drop_candidate(case: Case, status: DialogueModelStatus, outcome: Ending, **why: str) -> DialogueModelStatus:
    """The candidate gets nothing more: its conversations go on with the stable revision, or end where they are."""
    candidate, rollout = status.candidate_revision or "", status.rollout
    drains = case.model.spec.rollout.on_abort == "Finish" and bool(rollout.step)
    status = let_go(case.model, status, candidate, case.now, drains)
    held_back = status.rejected_revision
    if held_back == status.stable_revision:  # it was to be replaced by this candidate: it keeps serving
        held_back = None
    status = status.model_copy(update={"candidate_revision": None, "rejected_revision": held_back})
    return with_rollout(status, outcome=outcome, step=0, weight=0, paused="", step_started_at="", **why)


def reject(case: Case, status: DialogueModelStatus, reason: str, message: str, outcome: Ending = "Rejected") -> Outcome:
    """Given up, and not tried again until the spec changes or a Retry asks. The stable revision has everything at once."""
    revision, target = status.rollout.revision, revision_of(serving_spec(case.model.spec))
    status = drop_candidate(case, status, outcome, reason=reason, message=message[:1024])
    if revision == target:
        status = status.model_copy(update={"rejected_revision": revision})
    text = f"revision {revision} was given up ({reason}: {message}); revision {status.stable_revision} keeps serving"
    return status, warning(outcome, text)


def _of_arms(status: DialogueModelStatus) -> tuple[GateVerdict, ...]:
    return tuple(verdict for verdict in status.gates if verdict.step == 0)
