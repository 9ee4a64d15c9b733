"""`decide`: one pure step from (wanted, recorded, observed, now) to (recorded, plan).

Each part takes the status a little further: verbs are obeyed, the target is set, the candidate moves on by at most one
state (`advance` draws its states), arms come and go, what is over is forgotten. Then the plan and the words for people
are derived from the record.
"""

from datetime import datetime, timedelta

from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.api.status import DialogueModelStatus
from dialogue_operator.api.values import parse_duration
from dialogue_operator.rollout import traffic
from dialogue_operator.rollout.advance import advance
from dialogue_operator.rollout.arms import arrange
from dialogue_operator.rollout.case import Case, Outcome, Part, Said
from dialogue_operator.rollout.observed import Observed
from dialogue_operator.rollout.plan import Decision, Plan
from dialogue_operator.rollout.questions import questions
from dialogue_operator.rollout.records import is_over, retired
from dialogue_operator.rollout.report import report
from dialogue_operator.rollout.requests import obey
from dialogue_operator.rollout.stages import stage_at, stages_of
from dialogue_operator.rollout.target import aim
from dialogue_operator.rollout.timing import parse_time

LOOK_AGAIN_SECONDS = 1.0  # pods have no doorbell of ours: while a revision comes up, look
LOOK_SELDOM_SECONDS = 10.0  # what takes long takes longer: many at once must not wear the API server out
JUDGE_AGAIN_SECONDS = 5.0
JUDGE_ARMS_AGAIN_SECONDS = 30.0


def decide(model: DialogueModel, observed: Observed, now: datetime, default_image: str, domain: str) -> Decision:
    """The next step. At a fixed time and world, deciding again on the recorded status changes nothing."""
    case, status = Case(model, observed, now, default_image), model.status
    said: Said = ()
    for part in PARTS:
        status, more = part(case, status)
        said += more
    wanted = traffic.plan(case, status)
    status = report(case, status, wanted, domain)
    return Decision(status, wanted, said, _wake_after(case, status, wanted))


def _retire(case: Case, status: DialogueModelStatus) -> Outcome:
    return retired(status, case.now), ()


PARTS: tuple[Part, ...] = (obey, aim, advance, arrange, _retire)


def _wake_after(case: Case, status: DialogueModelStatus, wanted: Plan) -> float | None:
    """Seconds until something is due, or until pods or gates should be looked at again; None when only an event can matter."""
    now, observed = case.now, case.observed
    waits = [
        (parse_time(until) - now).total_seconds()
        for record in status.revisions
        if record.retire_at and not is_over(record, now)
        for until in (record.retire_at, record.bake_until)
        if until and parse_time(until) > now
    ]
    stable = observed.of(status, status.stable_revision)
    left_over = observed.revisions.keys() - {r.revision for r in wanted.revisions} - set(wanted.prune)
    sleeps = wanted.asleep and not any(r.replicas for r in wanted.revisions)
    arms_come_up = any(r.arm and not r.retire_at and not _up(case, status, r.revision) for r in status.revisions)
    if status.candidate_revision:
        waits += _rollout_waits(case, status)
    elif questions(case.model, status).count:
        waits.append(JUDGE_ARMS_AGAIN_SECONDS)
    if not status.candidate_revision and (left_over or arms_come_up or not (sleeps or (stable and stable.ready))):
        waits.append(LOOK_SELDOM_SECONDS / 2)
    return max(LOOK_AGAIN_SECONDS / 4, min(waits)) if waits else None


def _up(case: Case, status: DialogueModelStatus, revision: str) -> bool:
    return case.is_ready(status, revision)


def _rollout_waits(case: Case, status: DialogueModelStatus) -> list[float]:
    rollout, now = status.rollout, case.now
    deadline = parse_duration(case.model.spec.rollout.progress_deadline)

    def left(since: str, *spans: timedelta) -> list[float]:
        seconds = (parse_time(since) + sum(spans, timedelta()) - now).total_seconds()
        return [seconds] if seconds > 0 else []

    stage = stage_at(stages_of(case.model, status), rollout.step) if rollout.step else None
    if stage is None or rollout.step < rollout.next_step or not rollout.step_started_at:
        spent = (now - parse_time(rollout.waiting_since)).total_seconds()
        look = min(max(LOOK_AGAIN_SECONDS, spent / 5), LOOK_SELDOM_SECONDS)
        return [look, *left(rollout.waiting_since, deadline)]
    judging = [JUDGE_AGAIN_SECONDS] if stage.gates else []
    if rollout.paused:
        return [LOOK_SELDOM_SECONDS, *judging]
    return [
        LOOK_SELDOM_SECONDS, *judging, *left(rollout.step_started_at, stage.hold),
        *left(rollout.step_started_at, stage.hold, deadline),
    ]  # fmt: skip
