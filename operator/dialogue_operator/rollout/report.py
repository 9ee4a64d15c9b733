"""What a status says to people: phase, shares, conditions. Derived from records and observation, never read back."""

from datetime import datetime

from dialogue_operator import names
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.api.status import Condition, DialogueModelStatus, Phase, TrafficShare
from dialogue_operator.rollout.conditions import condition, with_conditions
from dialogue_operator.rollout.observed import Observed


def report(
    model: DialogueModel, status: DialogueModelStatus, observed: Observed, now: datetime, domain: str
) -> DialogueModelStatus:
    """The status with everything derived brought up to date."""
    stable = observed.revisions.get(status.stable_revision or "")
    weights = observed.routes[0].weights if observed.routes else {}
    status = status.model_copy(
        update={
            "observed_generation": model.generation,
            "phase": _phase(status),
            "url": f"http://{names.http_host(model.name, model.namespace, domain)}",
            "grpc_host": names.grpc_host(model.name, model.namespace, domain),
            "replicas": stable.replicas if stable else 0,
            "ready_replicas": stable.ready_replicas if stable else 0,
            "selector": f"{names.LABEL_MODEL}={model.name}",
            "traffic": tuple(TrafficShare(revision=r, weight=w) for r, w in sorted(weights.items())),
        }
    )
    conditions = tuple(c(status, observed, model.generation) for c in (_accepted, _ready, _progressing))
    return with_conditions(status, model.status.conditions, conditions, now)


def _phase(status: DialogueModelStatus) -> Phase:
    if status.candidate_revision:
        return "Switching" if status.rollout.switching else "Preparing"
    if status.rollout.outcome == "Rejected":
        return "Degraded"
    if any(r.retire_at for r in status.revisions):
        return "Draining"
    return "Stable" if status.stable_revision else "Pending"


def _accepted(status: DialogueModelStatus, observed: Observed, generation: int) -> Condition:
    if observed.host_conflict:
        text = f"{observed.host_conflict} already holds this object's host; rename one of them or remove that route"
        return condition("Accepted", False, "HostConflict", text, generation)
    return condition("Accepted", True, "Valid", "the spec can be acted on", generation)


def _ready(status: DialogueModelStatus, observed: Observed, generation: int) -> Condition:
    revision = status.stable_revision
    if not revision:
        reason, message = _obstacle(status, observed)
        return condition("Ready", False, reason or "NoRevisionReady", message or "no revision is ready yet", generation)
    stable = observed.revisions.get(revision)
    if not stable or not stable.ready_replicas:
        if stable and stable.failure:
            return condition("Ready", False, stable.failure.reason, stable.failure.message, generation)
        return condition("Ready", False, "NoReadyPod", f"revision {revision} has no ready pod", generation)
    if problem := next((r.problem for r in observed.routes if r.problem), ""):
        return condition("Ready", False, "RouteRefused", problem, generation)
    if len(observed.routes) < observed.routes_wanted or not all(r.accepted for r in observed.routes):
        return condition("Ready", False, "RoutePending", "the gateway has not taken the routes yet", generation)
    return condition("Ready", True, "Serving", f"revision {revision} serves", generation)


def _progressing(status: DialogueModelStatus, observed: Observed, generation: int) -> Condition:
    candidate, rollout = status.candidate_revision, status.rollout
    if observed.refusal:
        return condition("Progressing", False, observed.refusal.reason, observed.refusal.message, generation)
    if candidate:
        reason, message = _obstacle(status, observed)
        if reason:
            return condition("Progressing", False, reason, message, generation)
        if rollout.switching:
            return condition("Progressing", True, "Switching", f"traffic moves to revision {candidate}", generation)
        return condition("Progressing", True, "Preparing", f"revision {candidate} is coming up", generation)
    if rollout.outcome == "Rejected":
        text = f"revision {rollout.revision} was given up: {rollout.message}"
        return condition("Progressing", False, rollout.reason, text, generation)
    return condition("Progressing", True, "Complete", "the newest revision has all traffic", generation)


def _obstacle(status: DialogueModelStatus, observed: Observed) -> tuple[str, str]:
    """What keeps the candidate from taking over: a host clash first, else what its pods say."""
    if observed.host_conflict:
        return "HostConflict", f"{observed.host_conflict} already holds this object's host"
    return status.rollout.reason, status.rollout.message
