"""Who decides how many pods a revision has between its least and its most: one scaler for each arm.

A HorizontalPodAutoscaler on cpu; KEDA where the metric is our own, or where the model may sleep. What the cluster lacks
falls back to less, and `scaling_problem` says so.
"""

import math

from dialogue_operator.api.base import Json
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.api.spec import Scaling
from dialogue_operator.api.values import parse_quantity
from dialogue_operator.render.autoscaler import Size, autoscaler
from dialogue_operator.render.capabilities import Capabilities
from dialogue_operator.render.keda import (
    Prometheus,
    cpu_trigger,
    http_scaled_object,
    query_trigger,
    scaled_object,
    wake_trigger,
)
from dialogue_operator.render.routes import GatewayRef
from dialogue_operator.rollout.plan import Plan, RevisionPlan

TARGETS = {"pendingTokens": 4000, "concurrency": 8, "cpu": 70}  # of one pod; cpu in percent of what it requests


def scaling_objects(model: DialogueModel, plan: Plan, capabilities: Capabilities, gateway: GatewayRef) -> list[Json]:
    """Kept as rendered. A scaler that is not among them goes before a new one comes, for two of one arm would fight."""
    scaled = [one for one in plan.revisions if is_scaled(plan, one, capabilities)]
    found = [_scaler(model, plan, one, capabilities) for one in scaled]
    if (held := _held(plan)) and (sleeps(plan, capabilities) or _may_sleep(model, capabilities)):
        found.append(http_scaled_object(model, held, gateway, _target(model, "concurrency")))
    return found


def sleeps(plan: Plan, capabilities: Capabilities) -> bool:
    """Requests take the way that holds them until a pod is there: the route's backend is `interceptor_backend`.

    The pods go where the least size is 0, too. With a greater one they come back while requests still take that way:
    so a model wakes up before its traffic moves.
    """
    return plan.asleep and capabilities.sleep


def is_scaled(plan: Plan, revision: RevisionPlan, capabilities: Capabilities) -> bool:
    """The size between `least` and most is the scaler's business; else it is fixed, at `least`."""
    return _is_held(plan, revision, capabilities) or revision.most > least(plan, revision, capabilities)


def least(plan: Plan, revision: RevisionPlan, capabilities: Capabilities) -> int:
    """Without somebody who holds requests, one pod stays awake."""
    return revision.replicas if _is_held(plan, revision, capabilities) else max(1, revision.replicas)


def _held(plan: Plan) -> str | None:
    """The revision with the most traffic, by its pods: whose requests are held if any are."""
    return plan.pods_of(max(plan.traffic, key=lambda share: share[1])[0]) if plan.traffic else None


def _is_held(plan: Plan, revision: RevisionPlan, capabilities: Capabilities) -> bool:
    return sleeps(plan, capabilities) and revision.revision == _held(plan)


def _may_sleep(model: DialogueModel, capabilities: Capabilities) -> bool:
    """Sooner or later; what holds requests is there from the start, so that no request comes before it."""
    return model.spec.scaling.min_replicas == 0 and capabilities.sleep


def scaling_problem(model: DialogueModel, capabilities: Capabilities) -> str:
    """What was asked for and cannot be had, with what is done instead; empty where all is well."""
    wanted = model.spec.scaling
    said: list[str] = []
    if wanted.min_replicas == 0 and not capabilities.sleep:
        said.append("minReplicas 0 needs KEDA and its HTTP add-on; one pod stays awake")
    if wanted.max_replicas is not None and wanted.max_replicas > max(1, wanted.min_replicas):
        if wanted.metric != _metric(wanted, capabilities):
            said.append(f"metric {wanted.metric} needs KEDA and Prometheus; scaling on cpu instead")
        if _metric(wanted, capabilities) == "cpu" and not capabilities.metrics:
            said.append("metric cpu needs metrics.k8s.io (metrics-server); nothing scales until it is there")
    return ". ".join(said)


def _metric(wanted: Scaling, capabilities: Capabilities) -> str:
    return wanted.metric if capabilities.queries else "cpu"


def _target(model: DialogueModel, metric: str) -> int:
    """What the spec gives is meant for the metric that the spec gives."""
    wanted = model.spec.scaling
    if wanted.target is None or wanted.metric != metric:
        return TARGETS[metric]
    return math.ceil(parse_quantity(wanted.target))


def _scaler(model: DialogueModel, plan: Plan, revision: RevisionPlan, capabilities: Capabilities) -> Json:
    metric = _metric(model.spec.scaling, capabilities)
    target = _target(model, metric)
    size = Size(least(plan, revision, capabilities), max(1, revision.replicas, revision.most))
    # one kind for as long as the spec stands: a change of kind leaves an arm without a scaler for a moment
    if metric == "cpu" and not (_may_sleep(model, capabilities) or _is_held(plan, revision, capabilities)):
        return autoscaler(model, revision.revision, size, target)
    if metric == "cpu":
        triggers = [cpu_trigger(target)]
    else:
        prometheus = Prometheus(capabilities.prometheus_url, silence_is_zero=size.least == 0)
        triggers = [query_trigger(model, revision.revision, metric, target, prometheus)]
    if _is_held(plan, revision, capabilities):
        triggers.append(wake_trigger(model, capabilities))
    return scaled_object(model, revision.revision, size, triggers)
