"""Plan → objects, in the order in which they are applied: what serves first, what sends traffic there last."""

from dialogue_operator.api.base import Json
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.render.capabilities import Capabilities
from dialogue_operator.render.disruption import disruption_budgets
from dialogue_operator.render.inference_service import inference_service, needs_runtime
from dialogue_operator.render.keda import interceptor_backend
from dialogue_operator.render.routes import Backend, GatewayRef, routes
from dialogue_operator.render.scaler import scaling_objects, sleeps
from dialogue_operator.render.serving_runtime import serving_runtime
from dialogue_operator.rollout.plan import Plan


def immutable_objects(model: DialogueModel, plan: Plan) -> list[Json]:
    """Written once for each revision and never again."""
    found: list[Json] = []
    for revision in plan.revisions:
        if needs_runtime(revision):
            found.append(serving_runtime(model, revision))
        found.append(inference_service(model, revision))
    return found


def needs_helpers(model: DialogueModel) -> bool:
    """Something may have to stand beside its pods: an autoscaler, a disruption budget."""
    scaling = model.spec.scaling
    return scaling.min_replicas != 1 or (scaling.max_replicas or 0) > 1


def helper_objects(model: DialogueModel, plan: Plan, capabilities: Capabilities, gateway: GatewayRef) -> list[Json]:
    """Kept as rendered, and taken away when they are not rendered any more."""
    return [*scaling_objects(model, plan, capabilities, gateway), *disruption_budgets(model, plan)]


def route_objects(
    model: DialogueModel,
    plan: Plan,
    gateway: GatewayRef,
    capabilities: Capabilities = Capabilities(),  # noqa: B008
) -> list[Json]:
    """Kept as rendered; none while no revision may have traffic."""
    if not plan.traffic:
        return []
    sleeper = None
    if sleeps(plan, capabilities):
        namespace, name, port = interceptor_backend(capabilities)
        sleeper = Backend(name, namespace, port)
    return routes(model, plan, gateway, sleeper)
