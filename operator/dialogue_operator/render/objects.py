"""Plan → objects, in the order in which they are applied: what serves first, what sends traffic there last."""

from dialogue_operator.api.base import Json
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.render.inference_service import inference_service, needs_runtime
from dialogue_operator.render.routes import GatewayRef, grpc_route, http_route
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


def route_objects(model: DialogueModel, plan: Plan, gateway: GatewayRef) -> list[Json]:
    """Kept as rendered; none while no revision may have traffic."""
    if not plan.traffic:
        return []
    return [http_route(model, plan, gateway), grpc_route(model, plan, gateway)]
