"""What a status says to people: phase, shares, conditions. Derived from records and observation, never read back."""

from dialogue_operator import names
from dialogue_operator.api.status import Condition, DialogueModelStatus, Phase, TrafficShare
from dialogue_operator.rollout.case import Case
from dialogue_operator.rollout.conditions import condition, with_conditions
from dialogue_operator.rollout.judgement import untrusted
from dialogue_operator.rollout.plan import Plan
from dialogue_operator.rollout.records import is_over, record_of
from dialogue_operator.rollout.timing import parse_time


def report(case: Case, status: DialogueModelStatus, plan: Plan, domain: str) -> DialogueModelStatus:
    """The status with everything derived brought up to date."""
    model, observed = case.model, case.observed
    stable = observed.of(status, status.stable_revision)
    weights = observed.routes[0].weights if observed.routes else {}
    if plan.asleep and status.stable_revision:  # by way of the add-on, which is no revision of ours
        weights = {status.stable_revision: 100}
    preview = names.preview_name(model.name) if plan.preview or observed.previews else None
    status = status.model_copy(
        update={
            "observed_generation": model.generation,
            "phase": _phase(case, status),
            "helped": status.helped or any(max(one.replicas, one.most) > 1 or plan.asleep for one in plan.revisions),
            "url": f"http://{names.http_host(model.name, model.namespace, domain)}",
            "preview_url": f"http://{names.http_host(preview, model.namespace, domain)}" if preview else None,
            "grpc_host": names.grpc_host(model.name, model.namespace, domain),
            "replicas": stable.replicas if stable else 0,
            "ready_replicas": stable.ready_replicas if stable else 0,
            "selector": f"{names.LABEL_MODEL}={model.name}",
            "traffic": tuple(
                TrafficShare(revision=r, weight=w, name=_role(status, r)) for r, w in sorted(weights.items())
            ),
        }
    )
    found = [_accepted(case, status), _ready(case, status, plan), _progressing(case, status)]
    found += [c for c in (_rollback_ready(case, status), _trusted(case, status), _autoscaling(case, status)) if c]
    return with_conditions(status, model.status.conditions, tuple(found), case.now)


def _role(status: DialogueModelStatus, revision: str) -> str:
    if revision in (status.stable_revision, status.candidate_revision):
        return "stable" if revision == status.stable_revision else "candidate"
    record = record_of(status, revision)
    return record.arm if record else ""


def _phase(case: Case, status: DialogueModelStatus) -> Phase:
    rollout = status.rollout
    if status.candidate_revision:
        if rollout.paused:
            return "Paused"
        if not rollout.step:
            return "Preparing"
        return "Switching" if rollout.weight == 100 else "Progressing"
    if status.rejected_revision or rollout.outcome in ("Rejected", "Aborted"):
        stable = status.stable_revision
        arrived = stable is None or rollout.revision == stable  # a rollback to an earlier revision has come through
        back = arrived or all(r.weights.get(rollout.revision, 0) == 0 for r in case.observed.routes)
        return "Degraded" if back and rollout.outcome != "RolledBack" else _at_rest(case, status, back)
    return _at_rest(case, status, back=True)


def _at_rest(case: Case, status: DialogueModelStatus, back: bool) -> Phase:
    if not back:
        return "RollingBack"
    leaving = [r for r in status.revisions if r.retire_at and not is_over(r, case.now)]
    if any(r.bake_until and case.now < parse_time(r.bake_until) for r in leaving):
        return "Baking"
    if leaving:
        return "Draining"
    return "Stable" if status.stable_revision else "Pending"


def _accepted(case: Case, status: DialogueModelStatus) -> Condition:
    generation = case.model.generation
    if rival := case.observed.host_conflict:
        text = f"{rival} already holds this object's host; rename one of them or remove that route"
        return condition("Accepted", False, "HostConflict", text, generation)
    if status.request.problem:
        text = f"spec.rollout.request {status.request.id}: {status.request.problem}"
        return condition("Accepted", True, "RequestRefused", text, generation)
    return condition("Accepted", True, "Valid", "the spec can be acted on", generation)


def _ready(case: Case, status: DialogueModelStatus, plan: Plan) -> Condition:
    revision, observed, generation = status.stable_revision, case.observed, case.model.generation
    if not revision:
        reason, message = _obstacle(case, status)
        return condition("Ready", False, reason or "NoRevisionReady", message or "no revision is ready yet", generation)
    stable = observed.of(status, revision)
    asleep = plan.asleep and stable is not None and not stable.ready_replicas  # requests wait, and none fails
    if not asleep and (not stable or not stable.ready_replicas):
        if stable and stable.failure:
            return condition("Ready", False, stable.failure.reason, stable.failure.message, generation)
        return condition("Ready", False, "NoReadyPod", f"revision {revision} has no ready pod", generation)
    if problem := next((r.problem for r in observed.routes if r.problem), ""):
        return condition("Ready", False, "RouteRefused", problem, generation)
    if len(observed.routes) < observed.routes_wanted or not all(r.accepted for r in observed.routes):
        return condition("Ready", False, "RoutePending", "the gateway has not taken the routes yet", generation)
    if asleep:
        return condition("Ready", True, "Asleep", f"revision {revision} wakes up with the next request", generation)
    return condition("Ready", True, "Serving", f"revision {revision} serves", generation)


def _progressing(case: Case, status: DialogueModelStatus) -> Condition:
    candidate, rollout, generation = status.candidate_revision, status.rollout, case.model.generation
    if refusal := case.observed.refusal:
        return condition("Progressing", False, refusal.reason, refusal.message, generation)
    if candidate:
        reason, message = _obstacle(case, status)
        if reason:
            return condition("Progressing", False, reason, message, generation)
        if rollout.paused:
            return condition("Progressing", False, "Paused", f"revision {candidate} waits for Resume", generation)
        if not rollout.step:
            return condition("Progressing", True, "Preparing", f"revision {candidate} is coming up", generation)
        if rollout.weight == 100:
            return condition("Progressing", True, "Switching", f"traffic moves to revision {candidate}", generation)
        return condition("Progressing", True, "Step", _where(status), generation)
    if rollout.outcome in ("Rejected", "Aborted"):
        text = f"revision {rollout.revision} was given up: {rollout.message}"
        return condition("Progressing", False, rollout.reason, text, generation)
    if status.rejected_revision:
        text = f"revision {status.rejected_revision} was asked for, but a rollback holds it back; Retry tries it again"
        return condition("Progressing", False, "RolledBack", text, generation)
    return condition("Progressing", True, "Complete", "the newest revision has all traffic", generation)


def _where(status: DialogueModelStatus) -> str:
    """The step, and what its gates say: what someone on call asks first."""
    rollout = status.rollout
    said = [f"{v.name} {v.verdict}" for v in status.gates if (v.revision, v.step) == (rollout.revision, rollout.step)]
    gates = f"; gates: {', '.join(said)}" if said else ""
    grows = "; its pods grow for the next step" if rollout.next_step > rollout.step else ""
    return f"revision {rollout.revision} has {rollout.weight} % in step {rollout.step}{grows}{gates}"


def _rollback_ready(case: Case, status: DialogueModelStatus) -> Condition | None:
    """Whether going back needs no pod to start: of interest while there is something to go back to."""
    back = next((r for r in status.revisions if r.bake_until and case.now < parse_time(r.bake_until)), None)
    revision = status.stable_revision if status.candidate_revision else (back.revision if back else None)
    if revision is None:
        return None
    ready = case.answers(status, revision)
    text = f"revision {revision} can take all traffic at once" if ready else f"revision {revision} has no ready pod"
    reason = "PodsReady" if ready else ("NoHealthyArm" if status.rollout.reason == "NoHealthyArm" else "NoReadyPod")
    return condition("RollbackReady", ready, reason, text, case.model.generation)


def _trusted(case: Case, status: DialogueModelStatus) -> Condition | None:
    """Only where something is amiss: two arms that run the same were found to differ."""
    if not (verdict := untrusted(status)):
        return None
    told_apart = f"gate {verdict.name} tells it from the stable revision, which runs the same: {verdict.evidence}"
    text = f"arm {verdict.revision}: {told_apart}"
    return condition("GatesTrusted", False, "SameRevisionDiffers", text, case.model.generation)


def _autoscaling(case: Case, status: DialogueModelStatus) -> Condition | None:
    if not case.observed.scaling_problem:
        return None
    return condition("Autoscaling", False, "NotAsAsked", case.observed.scaling_problem, case.model.generation)


def _obstacle(case: Case, status: DialogueModelStatus) -> tuple[str, str]:
    """What keeps the candidate from moving on: a host clash first, else what its pods say."""
    if rival := case.observed.host_conflict:
        return "HostConflict", f"{rival} already holds this object's host"
    return status.rollout.reason, status.rollout.message
