"""Moving the candidate on, by at most one state a decision.

    coming up ──ready──► step 1 told ──gateway took it──► held, judged ──pods for step 2──► … ──► all told ──taken──► promoted
        ▲                    │                                │
        └── pods lost ───────┴────────────────────────────────┤
                                             gate failed, or undecided at the deadline ──► rejected

What is told is recorded before the routes are written (write-ahead), and holds only once the gateway has taken it: a
crash anywhere goes on from the record. Pods come before weight: a step begins when they can carry it.
"""

from dialogue_operator.api.status import DialogueModelStatus, HistoryEntry
from dialogue_operator.rollout.capacity import full_size, replicas_for
from dialogue_operator.rollout.case import Case, Outcome, Said, normal, warning, with_rollout
from dialogue_operator.rollout.golden import PASSED
from dialogue_operator.rollout.judgement import judged, step_has_failed, step_has_passed, without_verdicts_on
from dialogue_operator.rollout.records import handed_over, record_of
from dialogue_operator.rollout.stages import Stage, hash_of, stage_at, stages_of
from dialogue_operator.rollout.target import reject
from dialogue_operator.rollout.timing import format_time

HISTORY_LIMIT = 10
SETBACK_LIMIT = 3  # pods that come and go are no candidate for anything
NO_HEALTHY_ARM = "NoHealthyArm"


def advance(case: Case, status: DialogueModelStatus) -> Outcome:
    candidate, rollout = status.candidate_revision, status.rollout
    if not candidate:
        return status, ()
    stages = stages_of(case.model, status)
    if not rollout.at_once and rollout.stages != hash_of(stages):
        return _begin_anew(case, status, hash_of(stages))
    if rollout.step and not case.answers(status, candidate):
        return _set_back(case, status)
    if rollout.step and rollout.weight == 100:
        return _promote(case, status) if case.observed.share_is(candidate, 100) else (status, ())
    said: Said = ()
    if rollout.step and rollout.step_started_at:  # while pods grow for the next step, too
        stage = stage_at(stages, rollout.step)
        status, said = judged(case, status, candidate, rollout.step, stage.gates, len(stages))
        if failed := step_has_failed(status, stage):
            return _fail(case, status, failed.name, failed.evidence, said)
    if rollout.step < rollout.next_step:
        status, more = _grow(case, status, stage_at(stages, rollout.next_step), rollout.step)
    else:
        status, more = _hold(case, status, stage_at(stages, rollout.step))
    return status, (*said, *more)


def _begin_anew(case: Case, status: DialogueModelStatus, stages: str) -> Outcome:
    """The steps were edited: what was reached on the old ones says nothing about the new ones."""
    now = format_time(case.now)
    status = without_verdicts_on(status, status.rollout.revision)
    status = with_rollout(
        status, stages=stages, step=0, next_step=1, weight=0, step_started_at="", waiting_since=now, paused=""
    )
    return status, normal("StepsChanged", f"revision {status.candidate_revision} begins the new steps from the first")


def _set_back(case: Case, status: DialogueModelStatus) -> Outcome:
    """Its pods are gone: traffic leaves it at once. It may come back, but not for ever."""
    rollout = status.rollout
    if rollout.setbacks >= SETBACK_LIMIT and status.stable_revision:
        return reject(
            case, status, "Unstable", f"its pods were lost {rollout.setbacks + 1} times after they had traffic"
        )
    status = without_verdicts_on(status, rollout.revision)
    status = with_rollout(
        status,
        step=0,
        next_step=1,
        weight=0,
        step_started_at="",
        waiting_since=format_time(case.now),
        setbacks=rollout.setbacks + 1,
    )
    status, said = _wait(case, status)
    return status, (*warning("SetBack", f"revision {rollout.revision} has lost its pods; its traffic goes back"), *said)


def _grow(case: Case, status: DialogueModelStatus, stage: Stage, step: int) -> Outcome:
    """Wait for the pods of the next step; then tell the gateway its weight."""
    rollout, candidate = status.rollout, status.candidate_revision or ""
    needed = replicas_for(full_size(case.model, status, case.observed), stage.size)
    if not case.is_ready(status, candidate, needed):
        return _wait(case, status)
    if case.observed.host_conflict or rollout.paused:
        return status, ()
    if not step and (held_up := _ask_golden_dialogues(case, status)):
        return held_up
    status = with_rollout(
        status, step=rollout.next_step, weight=stage.weight, step_started_at="", reason="", message=""
    )
    if stage.preview:
        return status, normal("Previewing", f"revision {candidate} is ready; the preview host answers with it")
    if stage.weight == 100:
        return status, normal("Switching", f"revision {candidate} is ready; new conversations move to it")
    text = f"step {rollout.next_step}: revision {candidate} gets {stage.weight} % of new conversations"
    return status, normal("StepStarted", text)


def _ask_golden_dialogues(case: Case, status: DialogueModelStatus) -> Outcome | None:
    """None where there are none to be asked, or all was well: then it may go on."""
    rollout = status.rollout
    if case.model.spec.preflight is None or rollout.at_once or rollout.preflight == PASSED:
        return None
    said = case.observed.golden.get(rollout.revision, "")
    if not said:
        return status, ()
    status = with_rollout(status, preflight=said[:1024])
    if said == PASSED:
        return status, normal("PreflightPassed", f"revision {rollout.revision} answers its golden dialogues")
    if status.stable_revision:
        return reject(case, status, "PreflightFailed", said)
    already = (rollout.reason, rollout.message) == ("PreflightFailed", said[:1024])
    status = with_rollout(status, reason="PreflightFailed", message=said[:1024])
    return status, () if already else warning("PreflightFailed", f"revision {rollout.revision}: {said}")


def _hold(case: Case, status: DialogueModelStatus, stage: Stage) -> Outcome:
    """The step lasts its time, and until its gates have passed."""
    rollout, candidate = status.rollout, status.candidate_revision or ""
    if not rollout.step_started_at:
        seen = case.observed
        taken = seen.is_previewed(candidate) if stage.preview else seen.share_is(candidate, stage.weight)
        return (with_rollout(status, step_started_at=format_time(case.now)) if taken else status), ()
    if rollout.paused or not case.is_due(rollout.step_started_at, stage.hold):
        return status, ()
    if step_has_passed(case, status, stage):
        return with_rollout(status, next_step=rollout.step + 1, waiting_since=format_time(case.now)), ()
    if case.is_due(rollout.step_started_at, stage.hold, case.model.spec.rollout.progress_deadline):
        open_ = ", ".join(
            f"{v.name} {v.verdict}" for v in status.gates if v.step == rollout.step and v.verdict != "Pass"
        )
        text = f"its gates have not answered in time: {open_ or 'no evidence'}"
        if case.answers(status, status.stable_revision):
            return reject(case, status, "GateUndecided", text)
    return status, ()


def _fail(case: Case, status: DialogueModelStatus, gate: str, evidence: str, said: Said) -> Outcome:
    """Back to stable, unless that has no pod left: then the better arm is kept, and people are called."""
    if case.answers(status, status.stable_revision):
        status, rejected = reject(case, status, "GateFailed", f"gate {gate}: {evidence}")
        return status, (*said, *rejected)
    text = f"gate {gate} failed, but revision {status.stable_revision} has no ready pod: {evidence}"
    return _keep_the_better_arm(status, said, text)


def _keep_the_better_arm(status: DialogueModelStatus, said: Said, text: str) -> Outcome:
    if status.rollout.reason != NO_HEALTHY_ARM:
        said = (*said, *warning(NO_HEALTHY_ARM, text))
    return with_rollout(status, reason=NO_HEALTHY_ARM, message=text[:1024]), said


def _wait(case: Case, status: DialogueModelStatus) -> Outcome:
    """Not ready: say why; give up at the deadline, where another revision serves."""
    rollout, stable = status.rollout, status.stable_revision
    deadline = case.model.spec.rollout.progress_deadline
    is_late = case.is_due(rollout.waiting_since, deadline)
    alone = case.answers(status, rollout.revision) and not case.answers(status, stable)
    if is_late and stable and rollout.weight and alone:
        text = f"revision {rollout.revision} is late, but revision {stable} has no ready pod"
        return _keep_the_better_arm(status, (), text)
    seen = case.observed.of(status, rollout.revision)
    failure = seen.failure if seen else None
    said: Said = ()
    reason, message = rollout.reason, rollout.message
    if failure:
        reason, message = failure.reason, failure.message[:1024]
        if (reason, message) != (rollout.reason, rollout.message):
            said = warning(reason, f"revision {rollout.revision}: {failure.message}")
    if is_late:
        late = f"not ready within {deadline}"
        if stable:
            status, rejected = reject(case, status, reason or "ProgressDeadlineExceeded", message or late)
            return status, (*said, *rejected)
        if not reason:
            reason, message = "ProgressDeadlineExceeded", late
            said = warning(reason, f"revision {rollout.revision}: {message}")
    return with_rollout(status, reason=reason, message=message), said


def _promote(case: Case, status: DialogueModelStatus) -> Outcome:
    """The gateway has taken all the weight: swap roles. No pod restarts; the old revision bakes and drains."""
    old, candidate = status.stable_revision, status.rollout.revision
    if old:
        status = handed_over(case.model, status, old, case.now)
    record = record_of(status, candidate)
    serving = record.serving if record else None
    version = serving.model.version if serving else ""
    entry = HistoryEntry(revision=candidate, version=version, promoted_at=format_time(case.now), serving=serving)
    status = status.model_copy(
        update={
            "stable_revision": candidate,
            "stable_version": version,
            "candidate_revision": None,
            "history": (entry, *status.history)[:HISTORY_LIMIT],
        }
    )
    ending = "RolledBack" if status.rejected_revision else "Promoted"
    status = with_rollout(status, outcome=ending, weight=0, step=0, step_started_at="")
    rollout = case.model.spec.rollout
    bakes = f"stays ready for {rollout.bake}, then " if rollout.bake != "0s" else ""
    after = f"; revision {old} {bakes}drains for {rollout.drain}" if old else ""
    return status, normal("Promoted", f"revision {candidate} has all traffic{after}")
