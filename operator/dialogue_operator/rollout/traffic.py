"""Who gets new conversations, who keeps old ones, and how many pods that takes."""

from dialogue_operator.api.status import DialogueModelStatus, RevisionRecord
from dialogue_operator.rollout.arms import wanted_arms
from dialogue_operator.rollout.capacity import full_size, replicas_for
from dialogue_operator.rollout.case import Case
from dialogue_operator.rollout.plan import Plan, RevisionPlan, Variant
from dialogue_operator.rollout.records import is_over, record_of
from dialogue_operator.rollout.stages import stage_at, stages_of


def plan(case: Case, status: DialogueModelStatus) -> Plan:
    observed, model = case.observed, case.model
    shares = {} if observed.host_conflict else _shares(case, status)
    routed = bool(shares)
    pinned = _pinned(case, status, shares) if routed and model.spec.rollout.stickiness == "Conversation" else ()
    own = [record for record in status.revisions if not record.pods]
    wanted = {record.revision for record in own}
    return Plan(
        revisions=tuple(_sized(case, status, record) for record in own),
        variants=tuple(Variant(r.revision, r.pods, r.serving.generation) for r in status.revisions if r.pods),
        traffic=tuple(sorted(shares.items())),
        pinned=pinned,
        shadow=_shadow(case, status) if routed else None,
        preview=_preview(case, status) if routed else None,
        asleep=_is_held(case, status),
        prune=tuple(sorted(r for r in observed.revisions if r not in wanted and not observed.may_carry_traffic(r))),
    )


def _shares(case: Case, status: DialogueModelStatus) -> dict[str, int]:
    """Percent of new conversations by revision, 100 in all; empty while nobody can have any."""
    stable, candidate, weight = status.stable_revision, status.candidate_revision, status.rollout.weight
    if candidate and weight == 100:
        return {candidate: 100}
    if stable is None:
        return {}
    left, found = 100, {}
    if candidate and weight:
        found[candidate] = weight
        left -= weight
    size = full_size(case.model, status, case.observed)
    for arm in wanted_arms(case.model, status):
        known = record_of(status, arm.revision)
        fits = not arm.is_shadow and known is not None and arm.weight <= left
        has_it = known is not None and known.since and case.answers(status, arm.revision)
        if fits and (has_it or case.is_ready(status, arm.revision, replicas_for(size, arm.weight))):
            found[arm.revision] = arm.weight
            left -= arm.weight
    return {**found, stable: left} if left else found


def _pinned(case: Case, status: DialogueModelStatus, shares: dict[str, int]) -> tuple[str, ...]:
    """Revisions with conversations of their own: whoever has a share, or had one and drains."""
    candidate = status.candidate_revision
    pinned = {*shares, *([status.stable_revision] if status.stable_revision else [])}
    if candidate and case.answers(status, candidate):
        pinned.add(candidate)
    for record in status.revisions:
        draining = record.retire_at and not is_over(record, case.now) and _answers(case, status, record)
        arm = record.arm and not record.retire_at and record.since
        if draining or arm:
            pinned.add(record.revision)
    return tuple(sorted(pinned))


def _answers(case: Case, status: DialogueModelStatus, record: RevisionRecord) -> bool:
    """It has conversations, or could have: what never was on a route and has no pods is not put there to drain."""
    pods = record.pods or record.revision
    named = any(pods in route.named for route in case.observed.routes)
    return named or case.answers(status, record.revision)


def _shadow(case: Case, status: DialogueModelStatus) -> tuple[str, int] | None:
    for arm in wanted_arms(case.model, status):
        if arm.is_shadow and record_of(status, arm.revision) and case.is_ready(status, arm.revision):
            return arm.revision, arm.weight
    return None


def _preview(case: Case, status: DialogueModelStatus) -> str | None:
    rollout, candidate = status.rollout, status.candidate_revision
    stages = stages_of(case.model, status)
    if not candidate or not rollout.step or rollout.weight or not stage_at(stages, rollout.step).preview:
        return None
    return candidate if case.answers(status, candidate) else None


def _may_sleep(case: Case, status: DialogueModelStatus) -> bool:
    """Nobody but the stable revision is there, and it may go to no pods at all."""
    at_rest = status.candidate_revision is None and status.stable_revision is not None
    alone = all(r.retire_at is None or is_over(r, case.now) for r in status.revisions)
    return case.model.spec.scaling.min_replicas == 0 and case.observed.can_sleep and at_rest and alone


def _is_held(case: Case, status: DialogueModelStatus) -> bool:
    """Requests go by way of who holds them: while it sleeps, and when it wakes up until its first pod is there."""
    held_now = any(not route.named for route in case.observed.routes)
    wakes = held_now and status.stable_revision is not None and not case.answers(status, status.stable_revision)
    return _may_sleep(case, status) or (case.observed.can_sleep and wakes)


def _sized(case: Case, status: DialogueModelStatus, record: RevisionRecord) -> RevisionPlan:
    scaling = case.model.spec.scaling
    most = scaling.max_replicas or 0
    if _may_sleep(case, status):
        return RevisionPlan(record.revision, record.serving, 0, max(1, most))
    size = max(_needs(case, status, user) for user in _users(status, record))
    return RevisionPlan(record.revision, record.serving, size, max(most, size) if most > scaling.min_replicas else 0)


def _users(status: DialogueModelStatus, record: RevisionRecord) -> list[RevisionRecord]:
    """Everyone who runs in these pods."""
    return [record, *(r for r in status.revisions if r.pods == record.revision)]


def _needs(case: Case, status: DialogueModelStatus, record: RevisionRecord) -> int:
    """Pods for one revision's share. The stable one, and one that bakes, keep what they have while others come up."""
    model, observed = case.model, case.observed
    full = full_size(model, status, observed)
    if record.revision == status.candidate_revision:
        next_stage = stage_at(stages_of(model, status), status.rollout.next_step)
        return replicas_for(full, max(next_stage.size, status.rollout.weight))
    if record.revision == status.stable_revision:
        return full if status.candidate_revision else max(1, model.spec.scaling.min_replicas)
    if record.retire_at:
        seen = observed.of(status, record.revision)
        kept = full if record.bake_until else min(full, seen.replicas if seen else 1)  # what goes does not grow
        return 1 if is_over(record, case.now) else max(1, kept)
    weight = next((a.weight for a in wanted_arms(model, status) if a.revision == record.revision), 1)
    return replicas_for(full, weight)
