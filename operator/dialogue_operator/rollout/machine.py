"""`decide`: one pure step from (wanted, recorded, observed, now) to (recorded, plan).

The states and what moves them:

    Pending ──► Preparing ──ready──► Switching ──routes verified──► Draining ──due──► Stable
                    │  ▲                 │                                            │
                    │  └──not ready──────┘                          new revision ─────┘
                    └──deadline──► Degraded (the stable revision keeps all traffic)

`Switching` is recorded before the routes are written (write-ahead), and ends only when the gateway has taken them: a
crash anywhere resumes from the record. Going back to the stable revision, or to one that still drains, needs no new
pods. A rejected revision is not tried again until the spec changes.
"""

from datetime import datetime

from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.api.status import DialogueModelStatus, HistoryEntry, RevisionRecord, RolloutStatus
from dialogue_operator.api.values import parse_duration
from dialogue_operator.rollout.observed import Observed, ObservedRevision
from dialogue_operator.rollout.plan import Announcement, Decision, Plan, RevisionPlan
from dialogue_operator.rollout.report import report
from dialogue_operator.rollout.revision import revision_of, serving_spec
from dialogue_operator.rollout.timing import format_time, parse_time

HISTORY_LIMIT = 10
DRAINING_LIMIT = 4
LOOK_AGAIN_SECONDS = 1.0  # pods have no doorbell of ours: while a revision comes up, look
LOOK_SELDOM_SECONDS = 10.0  # what takes long takes longer: many at once must not wear the API server out


def decide(model: DialogueModel, observed: Observed, now: datetime, default_image: str, domain: str) -> Decision:
    """The next step. At a fixed time and world, deciding again on the recorded status changes nothing."""
    status, said = _aim(model, now, default_image)
    status, more = _advance(model, status, observed, now)
    status = _retire(status, now)
    plan = _plan(model, status, observed)
    status = report(model, status, observed, now, domain)
    return Decision(status, plan, said + more, _wake_after(model, status, plan, observed, now))


def _aim(
    model: DialogueModel, now: datetime, default_image: str
) -> tuple[DialogueModelStatus, tuple[Announcement, ...]]:
    """Point the rollout at what the spec asks for: start it, supersede it, or call it off."""
    status, serving = model.status, serving_spec(model.spec)
    target = revision_of(serving)
    rollout = status.rollout
    if target == status.candidate_revision:
        return status, ()
    if target == status.stable_revision:
        if not status.candidate_revision:
            return _forget_rejection(status), ()
        status = _drop_candidate(status, "Superseded")
        said = Announcement("Normal", "RolledBack", f"the spec asks for revision {target} again, which still serves")
        return status, (said,)
    if rollout.outcome == "Rejected" and rollout.revision == target:
        return status, ()
    if status.candidate_revision:
        status = _drop_candidate(status, "Superseded")
    if serving.runtime.image is None:
        serving = serving.model_copy(update={"runtime": serving.runtime.model_copy(update={"image": default_image})})
    known = {r.revision: r for r in status.revisions}
    record = known.get(target) or RevisionRecord(revision=target, serving=serving)
    known[target] = record.model_copy(update={"retire_at": None})
    status = status.model_copy(
        update={
            "candidate_revision": target,
            "revisions": tuple(known.values()),
            "rollout": RolloutStatus(id=rollout.id + 1, revision=target, started_at=format_time(now)),
        }
    )
    text = f"revision {target} ({model.spec.model.version or model.spec.model.uri}) is coming up"
    return status, (Announcement("Normal", "RolloutStarted", text),)


def _forget_rejection(status: DialogueModelStatus) -> DialogueModelStatus:
    """The spec is back at the stable revision: an earlier rejection no longer says anything about it."""
    if status.rollout.outcome != "Rejected":
        return status
    return status.model_copy(update={"rollout": RolloutStatus(id=status.rollout.id)})


def _drop_candidate(status: DialogueModelStatus, outcome: str, **why: str) -> DialogueModelStatus:
    """Forget the candidate: its objects are pruned as soon as the gateway sends nothing there any more."""
    records = tuple(r for r in status.revisions if r.revision != status.candidate_revision)
    rollout = status.rollout.model_copy(update={"outcome": outcome, "switching": False, **why})
    return status.model_copy(update={"candidate_revision": None, "revisions": records, "rollout": rollout})


def _advance(
    model: DialogueModel, status: DialogueModelStatus, observed: Observed, now: datetime
) -> tuple[DialogueModelStatus, tuple[Announcement, ...]]:
    """Move the candidate on by at most one state."""
    candidate = status.candidate_revision
    if not candidate:
        return status, ()
    seen = observed.revisions.get(candidate)
    ready = seen is not None and not seen.deleting and seen.ready and seen.ready_replicas >= model.spec.scaling.replicas
    rollout = status.rollout
    if not ready:
        return _wait(model, status, seen, now)
    if not rollout.switching:
        if observed.host_conflict:
            return status, ()
        rollout = rollout.model_copy(update={"switching": True, "reason": "", "message": ""})
        return status.model_copy(update={"rollout": rollout}), (
            Announcement("Normal", "Switching", f"revision {candidate} is ready; new conversations move to it"),
        )
    if observed.traffic_is(candidate):
        return _promote(model, status, candidate, now)
    return status, ()


def _wait(
    model: DialogueModel, status: DialogueModelStatus, seen: ObservedRevision | None, now: datetime
) -> tuple[DialogueModelStatus, tuple[Announcement, ...]]:
    """Not ready: say why, take traffic back if it had been told to move, give up at the deadline."""
    rollout, stable = status.rollout, status.stable_revision
    failure = seen.failure if seen else None
    said: tuple[Announcement, ...] = ()
    if failure and (failure.reason, failure.message[:1024]) != (rollout.reason, rollout.message):
        said = (Announcement("Warning", failure.reason, f"revision {rollout.revision}: {failure.message}"),)
    reason, message = (failure.reason, failure.message[:1024]) if failure else (rollout.reason, rollout.message)
    late = now >= parse_time(rollout.started_at) + parse_duration(model.spec.rollout.progress_deadline)
    if late and stable:
        reason = reason or "ProgressDeadlineExceeded"
        message = message or f"not ready within {model.spec.rollout.progress_deadline}"
        text = f"revision {rollout.revision} was given up ({reason}: {message}); revision {stable} keeps serving"
        status = _drop_candidate(status, "Rejected", reason=reason, message=message[:1024])
        return status, (*said, Announcement("Warning", "Rejected", text))
    if late and not reason:
        reason, message = (
            "ProgressDeadlineExceeded",
            f"not ready within {model.spec.rollout.progress_deadline}",
        )
        said = (Announcement("Warning", reason, f"revision {rollout.revision}: {message}"),)
    rollout = rollout.model_copy(update={"switching": False, "reason": reason, "message": message})
    return status.model_copy(update={"rollout": rollout}), said


def _promote(
    model: DialogueModel, status: DialogueModelStatus, candidate: str, now: datetime
) -> tuple[DialogueModelStatus, tuple[Announcement, ...]]:
    """The gateway has taken the new weights: swap roles. No pod restarts; the old revision drains."""
    old, due = status.stable_revision, format_time(now + parse_duration(model.spec.rollout.drain))
    records = tuple(r.model_copy(update={"retire_at": due}) if r.revision == old else r for r in status.revisions)
    version = next((r.serving.model.version for r in status.revisions if r.revision == candidate), "")
    entry = HistoryEntry(revision=candidate, version=version, promoted_at=format_time(now))
    status = status.model_copy(
        update={
            "stable_revision": candidate,
            "stable_version": version,
            "candidate_revision": None,
            "revisions": _latest_draining(records),
            "rollout": status.rollout.model_copy(update={"outcome": "Promoted", "switching": False}),
            "history": (entry, *status.history)[:HISTORY_LIMIT],
        }
    )
    after = f"; revision {old} drains for {model.spec.rollout.drain}" if old else ""
    return status, (Announcement("Normal", "Promoted", f"revision {candidate} has all traffic{after}"),)


def _latest_draining(records: tuple[RevisionRecord, ...]) -> tuple[RevisionRecord, ...]:
    """Promotions that follow each other faster than they drain must not pile up pods: the oldest give way."""
    draining = sorted((r.retire_at, r.revision) for r in records if r.retire_at)
    dropped = {revision for _, revision in draining[:-DRAINING_LIMIT]}
    return tuple(r for r in records if r.revision not in dropped)


def _retire(status: DialogueModelStatus, now: datetime) -> DialogueModelStatus:
    """Forget a revision once it has drained."""
    kept = tuple(r for r in status.revisions if r.retire_at is None or now < parse_time(r.retire_at))
    return status.model_copy(update={"revisions": kept})


def _plan(model: DialogueModel, status: DialogueModelStatus, observed: Observed) -> Plan:
    """What is recorded has pods at full size, draining or not; one revision holds all new conversations."""
    candidate, stable = status.candidate_revision, status.stable_revision
    holder = candidate if status.rollout.switching else stable
    wanted = {r.revision for r in status.revisions}
    pinned = sorted(r.revision for r in status.revisions if r.retire_at or r.revision in {holder, stable})
    routed = holder is not None and not observed.host_conflict
    return Plan(
        revisions=tuple(RevisionPlan(r.revision, r.serving, model.spec.scaling.replicas) for r in status.revisions),
        traffic=((holder, 100),) if routed and holder else (),
        pinned=tuple(pinned) if routed else (),
        prune=tuple(sorted(r for r in observed.revisions if r not in wanted and not observed.may_carry_traffic(r))),
    )


def _wake_after(
    model: DialogueModel, status: DialogueModelStatus, plan: Plan, observed: Observed, now: datetime
) -> float | None:
    """Seconds until something is due, or until pods should be looked at again; None when only an event can matter."""
    waits = [(parse_time(r.retire_at) - now).total_seconds() for r in status.revisions if r.retire_at]
    stable = observed.revisions.get(status.stable_revision or "")
    left_over = observed.revisions.keys() - {r.revision for r in status.revisions} - set(plan.prune)
    if status.candidate_revision:
        spent = (now - parse_time(status.rollout.started_at)).total_seconds()
        left = parse_duration(model.spec.rollout.progress_deadline).total_seconds() - spent
        waits += [min(max(LOOK_AGAIN_SECONDS, spent / 5), LOOK_SELDOM_SECONDS), *([left] if left > 0 else [])]
    elif left_over or not (stable and stable.ready):
        waits.append(LOOK_SELDOM_SECONDS / 2)
    return max(LOOK_AGAIN_SECONDS / 4, min(waits)) if waits else None
