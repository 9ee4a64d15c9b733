"""The verbs of `spec.rollout.request`: each new id is obeyed once, or refused with one clear reason."""

from collections.abc import Callable, Mapping

from dialogue_operator.api.rollout import Action, RolloutRequest
from dialogue_operator.api.spec import ServingSpec
from dialogue_operator.api.status import DialogueModelStatus, ObservedRequest
from dialogue_operator.rollout.case import Case, Outcome, normal, warning, with_rollout
from dialogue_operator.rollout.judgement import without_verdicts_on
from dialogue_operator.rollout.records import record_of
from dialogue_operator.rollout.revision import revision_of, serving_spec
from dialogue_operator.rollout.target import begin, drop_candidate, reject
from dialogue_operator.rollout.timing import format_time


class Refused(Exception):
    """A verb that makes no sense now; its words are for the person who asked."""


def obey(case: Case, status: DialogueModelStatus) -> Outcome:
    request, seen = case.model.spec.rollout.request, status.request
    if request is None:
        return status, ()
    if request.id == seen.id:
        return _used_twice(status, request)
    observed = ObservedRequest(id=request.id, action=request.action)
    try:
        status, said = VERBS[request.action](case, status, request)
    except Refused as refused:
        observed = observed.model_copy(update={"problem": str(refused)[:512]})
        said = warning("RequestRefused", f"request {request.id} ({request.action}): {refused}")
    return status.model_copy(update={"request": observed}), said


def _used_twice(status: DialogueModelStatus, request: RolloutRequest) -> Outcome:
    seen = status.request
    if request.action == seen.action:
        return status, ()
    problem = f"id {request.id} was used before, for {seen.action}; give {request.action} a new id"
    if problem == seen.problem:
        return status, ()
    status = status.model_copy(update={"request": seen.model_copy(update={"problem": problem})})
    return status, warning("RequestRefused", f"request {request.id} ({request.action}): {problem}")


def _promote(case: Case, status: DialogueModelStatus, request: RolloutRequest) -> Outcome:
    candidate = _running(status)
    if status.rollout.weight < 100:
        status = with_rollout(status, at_once=True, next_step=status.rollout.step + 1)
    status = with_rollout(status, paused="")
    return status, normal(
        "PromoteRequested", f"revision {candidate} takes over as soon as it is ready, without further steps"
    )


def _pause(case: Case, status: DialogueModelStatus, request: RolloutRequest) -> Outcome:
    candidate = _running(status)
    if status.rollout.paused:
        raise Refused("it is paused already")
    if status.rollout.weight == 100:
        raise Refused("it has been told to take all traffic already; Abort or Rollback go back")
    return with_rollout(status, paused="Requested"), normal("Paused", f"revision {candidate} stays at its step")


def _resume(case: Case, status: DialogueModelStatus, request: RolloutRequest) -> Outcome:
    candidate = _running(status)
    if not status.rollout.paused:
        raise Refused("it is not paused")
    now = format_time(case.now)
    begun = now if status.rollout.step_started_at else ""  # the step begins anew, and so does its evidence
    status = with_rollout(without_verdicts_on(status, candidate), paused="", step_started_at=begun, waiting_since=now)
    return status, normal("Resumed", f"revision {candidate} goes on; its step begins anew")


def _abort(case: Case, status: DialogueModelStatus, request: RolloutRequest) -> Outcome:
    _running(status)
    if status.stable_revision is None:
        raise Refused("there is no stable revision to go back to")
    return reject(case, status, "Requested", f"request {request.id} asked for it", "Aborted")


def _retry(case: Case, status: DialogueModelStatus, request: RolloutRequest) -> Outcome:
    serving = serving_spec(case.model.spec)
    target = revision_of(serving)
    if status.rejected_revision != target:
        raise Refused("the revision that the spec asks for was not rejected: there is nothing to try again")
    attempt = status.rollout.attempt + 1 if status.rollout.revision == target else 1
    if status.candidate_revision:
        status = drop_candidate(case, status, "Superseded")
    status = status.model_copy(update={"rejected_revision": None})
    if target == status.stable_revision:
        return status, normal("RolledBack", f"back to revision {target}, which still serves")
    status = begin(case, status, target, serving, at_once=False, attempt=attempt)
    return status, normal("RolloutStarted", f"revision {target} is tried again, attempt {attempt}")


def _rollback(case: Case, status: DialogueModelStatus, request: RolloutRequest) -> Outcome:
    back, serving = _kept(status, request.revision)
    target = revision_of(serving_spec(case.model.spec))
    if status.candidate_revision == back:
        raise Refused(f"revision {back} is coming up already")
    if back == status.stable_revision and not status.candidate_revision:
        raise Refused(f"revision {back} serves already")
    if status.candidate_revision:
        status = drop_candidate(case, status, "RolledBack", reason="Requested", message=f"request {request.id}")
    # what the spec asks for would come again at once
    status = status.model_copy(update={"rejected_revision": target if target != back else None})
    if back != status.stable_revision:
        status = begin(case, status, back, serving, at_once=True)
    return status, normal("RolledBack", f"back to revision {back}, as request {request.id} asked")


def _kept(status: DialogueModelStatus, wanted: str | None) -> tuple[str, ServingSpec]:
    """The revision to go back to, and what it runs."""
    kept = {entry.revision: entry.serving for entry in reversed(status.history) if entry.serving}
    if wanted is None:
        earlier = [entry.revision for entry in status.history if entry.revision != status.stable_revision]
        wanted = status.stable_revision if status.candidate_revision else next(iter(earlier), None)
        if wanted is None:
            raise Refused("there is no earlier revision to go back to")
    record = record_of(status, wanted) if wanted in kept or wanted == status.stable_revision else None
    serving = record.serving if record else kept.get(wanted)
    if serving is None:
        raise Refused(f"revision {wanted} is gone; kept are {', '.join(kept) or 'none'}")
    return wanted, serving


def _running(status: DialogueModelStatus) -> str:
    if not status.candidate_revision:
        raise Refused("no rollout is running")
    return status.candidate_revision


VERBS: Mapping[Action, Callable[[Case, DialogueModelStatus, RolloutRequest], Outcome]] = {
    "Promote": _promote,
    "Pause": _pause,
    "Resume": _resume,
    "Abort": _abort,
    "Retry": _retry,
    "Rollback": _rollback,
}
