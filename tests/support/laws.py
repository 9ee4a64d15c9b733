"""What holds for every single decision, whatever happened before: the invariants of rollouts, one function each."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.api.rollout import RolloutRequest
from dialogue_operator.api.status import DialogueModelStatus
from dialogue_operator.api.values import parse_duration
from dialogue_operator.rollout.capacity import full_size
from dialogue_operator.rollout.observed import Observed
from dialogue_operator.rollout.plan import Decision, Plan
from dialogue_operator.rollout.records import DRAINING_LIMIT, is_over, record_of
from dialogue_operator.rollout.revision import revision_of, serving_spec
from dialogue_operator.rollout.stages import hash_of, stage_at, stages_of
from support.chosen import Chosen

OBEYED = {"PromoteRequested", "Paused", "Resumed"}
BOUNDS = {"revisions": 24, "gates": 144, "history": 10, "traffic": 16, "conditions": 16}


@dataclass(frozen=True)
class Instance:
    """One decision and everything that it was made from."""

    model: DialogueModel
    observed: Observed
    now: datetime
    decision: Decision

    @property
    def before(self) -> DialogueModelStatus:
        return self.model.status

    @property
    def after(self) -> DialogueModelStatus:
        return self.decision.status

    @property
    def plan(self) -> Plan:
        return self.decision.plan

    @cached_property
    def target(self) -> str:
        return revision_of(serving_spec(self.model.spec))

    @cached_property
    def traffic(self) -> dict[str, int]:
        return dict(self.plan.traffic)

    @cached_property
    def asks(self) -> RolloutRequest | None:
        """The verb that was answered in this decision."""
        request = self.model.spec.rollout.request
        return request if request and request.id != self.before.request.id else None

    @cached_property
    def goes_on(self) -> bool:
        """The same rollout before and after."""
        before, after = self.before, self.after
        return bool(before.candidate_revision) and (before.candidate_revision, before.rollout.id) == (
            after.candidate_revision,
            after.rollout.id,
        )

    @cached_property
    def edited(self) -> bool:
        """People changed what the running rollout is about."""
        steps = hash_of(stages_of(self.model, self.before)) != self.before.rollout.stages
        return self.target != self.before.candidate_revision or (steps and not self.before.rollout.at_once)

    def answers(self, revision: str | None) -> bool:
        """Some pod of it is ready."""
        seen = self.observed.of(self.after, revision) or self.observed.of(self.before, revision)
        return seen is not None and seen.ready_replicas > 0 and not seen.deleting

    def sent(self, revision: str) -> int:
        """Percent that every route sends to it now."""
        routes = self.observed.routes
        enough = len(routes) == self.observed.routes_wanted
        return min(route.weights.get(revision, 0) for route in routes) if enough else 0

    def offered(self) -> str:
        """What the gates say of the candidate in the step that runs."""
        found, rollout = self.observed.evidence, self.before.rollout
        if found is None or not rollout.step_started_at or (found.rollout_id, found.step) != (rollout.id, rollout.step):
            return ""
        tally = found.tallies.get(self.before.candidate_revision or "")
        gates = stage_at(stages_of(self.model, self.before), rollout.step).gates
        return tally.verdict if gates and isinstance(tally, Chosen) else ""


def weights_sum_to_100_or_are_empty(it: Instance) -> None:
    assert sum(it.traffic.values()) == (100 if it.traffic else 0), it.traffic
    assert all(weight > 0 for weight in it.traffic.values()), it.traffic
    candidate = it.after.candidate_revision
    if it.traffic and candidate:
        assert it.traffic.get(candidate, 0) == it.after.rollout.weight, "what is told was recorded first"


def whatever_is_named_exists(it: Instance) -> None:
    plan = it.plan
    own = {revision.revision for revision in plan.revisions}
    variants = {variant.revision for variant in plan.variants}
    assert own == {record.revision for record in it.after.revisions if not record.pods}, "what is recorded has pods"
    assert {variant.pods for variant in plan.variants} <= own, "a variant runs in pods that are kept"
    named = {
        *it.traffic,
        *plan.pinned,
        *([plan.preview] if plan.preview else []),
        *([plan.shadow[0]] if plan.shadow else []),
    }
    assert named <= own | variants, f"{named - own - variants} are named and do not exist"
    assert not (named | own) & set(plan.prune), "what is named is not pruned"


def what_may_carry_traffic_is_not_pruned(it: Instance) -> None:
    routes = (*it.observed.routes, *it.observed.previews)
    named = {revision for route in routes for revision in route.named}
    assert not named & {*it.plan.prune}, "a route names what is pruned"
    assert not it.plan.prune or all(route.accepted for route in routes), "an older route may be in force still"


def traffic_moves_only_to_what_is_ready(it: Instance) -> None:
    stable, candidate = it.after.stable_revision, it.before.candidate_revision
    for revision, weight in it.traffic.items():
        if weight > it.sent(revision) and revision != stable:
            assert it.answers(revision), f"{revision} gets {weight} % and has no ready pod"
    had = min(it.sent(candidate), it.before.rollout.weight) if candidate and it.traffic else 0
    if candidate and it.traffic.get(candidate, 0) < had and not it.answers(stable) and it.answers(candidate):
        asked = it.edited or (it.asks and it.asks.action in ("Abort", "Rollback"))
        assert asked, "nobody asked to take traffic from the only revision that is ready"


def only_what_is_ready_is_newly_pinned_previewed_or_copied_to(it: Instance) -> None:
    named = {revision for route in it.observed.routes for revision in route.named}
    for revision in {*it.plan.pinned} - named - {it.after.stable_revision}:
        record = record_of(it.after, revision)
        lent = record.pods if record else None
        assert lent in named or it.answers(revision), f"{revision} is pinned and has no ready pod"
    assert it.plan.preview is None or it.answers(it.plan.preview)
    assert it.plan.shadow is None or it.answers(it.plan.shadow[0])
    assert it.plan.shadow is None or it.plan.shadow[0] not in it.traffic, "nobody sees what the shadow says"


def a_failed_gate_puts_everything_on_stable_at_once(it: Instance) -> None:
    candidate = it.before.candidate_revision
    resumed = it.asks and it.asks.action == "Resume"
    step = it.before.rollout.step
    failed = any((v.revision, v.step, v.verdict) == (candidate, step, "Fail") for v in it.before.gates) and not resumed
    stays = it.goes_on and it.after.rollout.weight and not it.after.rollout.at_once
    if (it.offered() == "Fail" or failed) and stays and it.before.rollout.step_started_at:
        assert not it.answers(it.after.stable_revision), "its gate failed, and it goes on"
        assert it.after.rollout.weight <= it.before.rollout.weight
        assert it.after.rollout.reason == "NoHealthyArm", "people are called"
    if it.offered() == "Fail" and not it.goes_on:
        assert candidate not in it.traffic


def weight_rises_only_by_a_fresh_pass(it: Instance) -> None:
    before, after = it.before.rollout, it.after.rollout
    if not it.goes_on:
        assert not it.after.candidate_revision or (after.next_step == 1 and after.step <= 1), (
            "it begins at the first step"
        )
        return
    assert after.next_step <= before.next_step + 1
    if after.weight > before.weight:
        seen = it.observed.of(it.after, it.after.candidate_revision)
        assert seen is not None, "more is told to what is not there"
        assert seen.ready, "more is told only where KServe says that all is well"
        assert after.step == after.next_step
        assert after.step == before.next_step or after.at_once, "a step begins when it was made ready"
        assert not after.paused
    if after.next_step > before.next_step and not after.at_once:
        stage = stage_at(stages_of(it.model, it.before), before.step)
        assert not stage.gates or it.offered() == "Pass", f"step {before.step} ends on verdict {it.offered() or 'none'}"
        assert not after.paused


def roles_swap_when_the_gateway_has_taken_it_all(it: Instance) -> None:
    if it.after.stable_revision != it.before.stable_revision:
        assert it.after.stable_revision == it.before.candidate_revision
        assert it.before.rollout.weight == 100, "the intent was recorded before"
        assert it.sent(it.after.stable_revision or "") == 100, "the routes do not say so"
        assert all(route.accepted for route in it.observed.routes), "the gateway has not taken them"


def what_was_rejected_is_not_tried_again(it: Instance) -> None:
    tried = it.after.candidate_revision == it.target and it.before.candidate_revision != it.target
    ended = it.before.rollout.outcome in ("Rejected", "Aborted") and it.before.rollout.revision == it.target
    if tried and (it.before.rejected_revision == it.target or (ended and not it.before.candidate_revision)):
        assert it.asks, "nobody asked"
        assert it.asks.action in ("Retry", "Rollback")
    stable, candidate, rejected = it.after.stable_revision, it.after.candidate_revision, it.after.rejected_revision
    assert not candidate or candidate not in (stable, rejected), "it serves already, or is held back"
    assert not rejected or candidate or rejected != stable, "it is held back, and serves"


def a_request_is_answered_once(it: Instance) -> None:
    request = it.model.spec.rollout.request
    assert it.after.request.id == (request.id if request else it.before.request.id)
    if not it.asks:
        assert not any(one.reason in OBEYED for one in it.decision.announcements)
        assert not it.after.rollout.paused or it.before.rollout.paused, "nobody asked to pause"


def stable_keeps_its_full_size(it: Instance) -> None:
    sizes = {one.revision: one.replicas for one in it.plan.revisions}
    kept = [r for r in it.after.revisions if r.bake_until and not is_over(r, it.now)]
    if it.after.candidate_revision:
        kept += [r for r in it.after.revisions if r.revision == it.after.stable_revision]
    for record in kept:
        assert sizes[record.pods or record.revision] >= full_size(it.model, it.after, it.observed), record.revision


def what_drains_has_its_time(it: Instance) -> None:
    after = {record.revision: record for record in it.after.revisions}
    for record in it.before.revisions:
        if record.retire_at and not is_over(record, it.now) and len(it.before.revisions) <= DRAINING_LIMIT:
            assert record.revision in after, f"{record.revision} has conversations still"
    old = it.before.stable_revision
    if old and old != it.after.stable_revision:
        times = it.model.spec.rollout
        stays = any(parse_duration(one) for one in (times.bake, times.drain))
        assert not stays or (old in after and after[old].retire_at), "it hands over and drains"


def an_arm_that_was_thrown_out_stays_out(it: Instance) -> None:
    """Until the experiment changes, or what it builds on."""
    if it.after.stable_revision != it.before.stable_revision:
        return
    stable = record_of(it.after, it.after.stable_revision)
    kept = {r.revision: r.serving for r in it.after.revisions if r.arm and not r.retire_at}
    for verdict in it.before.gates:
        out = verdict.step == 0 and verdict.verdict == "Fail" and verdict.revision in kept
        assert not (out and stable and kept[verdict.revision] != stable.serving), (
            f"arm {verdict.revision} failed before"
        )


def the_status_stays_within_bounds(it: Instance) -> None:
    for name, most in BOUNDS.items():
        assert len(getattr(it.after, name)) <= most, name
    assert it.after.observed_generation == it.model.generation


def a_running_rollout_is_looked_at_again(it: Instance) -> None:
    assert not it.after.candidate_revision or it.decision.wake_after is not None


LAWS = (
    weights_sum_to_100_or_are_empty,
    whatever_is_named_exists,
    what_may_carry_traffic_is_not_pruned,
    traffic_moves_only_to_what_is_ready,
    only_what_is_ready_is_newly_pinned_previewed_or_copied_to,
    a_failed_gate_puts_everything_on_stable_at_once,
    weight_rises_only_by_a_fresh_pass,
    roles_swap_when_the_gateway_has_taken_it_all,
    what_was_rejected_is_not_tried_again,
    a_request_is_answered_once,
    stable_keeps_its_full_size,
    what_drains_has_its_time,
    an_arm_that_was_thrown_out_stays_out,
    the_status_stays_within_bounds,
    a_running_rollout_is_looked_at_again,
)


def check(model: DialogueModel, observed: Observed, now: datetime, decision: Decision) -> None:
    """Raises AssertionError that names the law."""
    instance = Instance(model, observed, now, decision)
    for law in LAWS:
        try:
            law(instance)
        except AssertionError as error:
            raise AssertionError(f"{law.__name__}: {error}") from error
