"""Records of revisions: who is kept, who goes, and who lends pods to whom."""

from datetime import datetime

from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.api.spec import ServingSpec
from dialogue_operator.api.status import DialogueModelStatus, RevisionRecord
from dialogue_operator.api.values import parse_duration
from dialogue_operator.rollout.revision import can_share_pods
from dialogue_operator.rollout.timing import format_time, parse_time

DRAINING_LIMIT = 4


def record_of(status: DialogueModelStatus, revision: str | None) -> RevisionRecord | None:
    return next((r for r in status.revisions if r.revision == revision), None)


def lenders(status: DialogueModelStatus) -> frozenset[str]:
    """Revisions in whose pods others run."""
    return frozenset(r.pods for r in status.revisions if r.pods)


def added(status: DialogueModelStatus, revision: str, serving: ServingSpec, arm: str = "") -> DialogueModelStatus:
    """The status with a record of this revision, in the stable revision's pods where the two differ in decoding alone."""
    known = record_of(status, revision)
    record = known or RevisionRecord(revision=revision, serving=serving, pods=_pods_for(status, serving), arm=arm)
    record = record.model_copy(update={"retire_at": None, "bake_until": None})
    others = tuple(r for r in status.revisions if r.revision != revision)
    return status.model_copy(update={"revisions": (*others, record)})


def _pods_for(status: DialogueModelStatus, serving: ServingSpec) -> str | None:
    stable = record_of(status, status.stable_revision)
    if stable is None or not can_share_pods(stable.serving, serving):
        return None
    return stable.pods or stable.revision


def let_go(
    model: DialogueModel, status: DialogueModelStatus, revision: str, now: datetime, drains: bool
) -> DialogueModelStatus:
    """The revision gets no new conversations any more; those that it has end there, or go on elsewhere."""
    until = now + parse_duration(model.spec.rollout.drain) if drains else now
    return changed(status, revision, retire_at=format_time(until), bake_until=None)


def handed_over(model: DialogueModel, status: DialogueModelStatus, revision: str, now: datetime) -> DialogueModelStatus:
    """The revision was stable: it bakes, then drains."""
    baked = now + parse_duration(model.spec.rollout.bake)
    retire = baked + parse_duration(model.spec.rollout.drain)
    status = changed(status, revision, bake_until=format_time(baked), retire_at=format_time(retire))
    # promotions that follow each other faster than they drain must not pile up pods: the oldest give way
    draining = sorted((r.retire_at, r.revision) for r in status.revisions if r.retire_at and not is_over(r, now))
    for _, oldest in draining[:-DRAINING_LIMIT]:
        status = changed(status, oldest, retire_at=format_time(now))
    return status


def changed(status: DialogueModelStatus, revision: str, **update: str | None) -> DialogueModelStatus:
    """The status with these fields of one record changed."""
    records = tuple(r.model_copy(update=update) if r.revision == revision else r for r in status.revisions)
    return status.model_copy(update={"revisions": records})


def retired(status: DialogueModelStatus, now: datetime) -> DialogueModelStatus:
    """Without those whose time is over; who lends pods to another stays as long as that one does."""
    while True:
        lent = lenders(status)
        kept = tuple(r for r in status.revisions if r.revision in lent or not is_over(r, now))
        if kept == status.revisions:
            return status
        status = status.model_copy(update={"revisions": kept})


def is_over(record: RevisionRecord, now: datetime) -> bool:
    return record.retire_at is not None and now >= parse_time(record.retire_at)
