"""What the operator would apply for a DialogueModel that the cluster has not seen: its first plan, then its routes."""

from dataclasses import replace
from datetime import UTC, datetime

from dialogue_operator.api.base import Json
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.render.objects import immutable_objects, route_objects
from dialogue_operator.render.routes import GatewayRef
from dialogue_operator.rollout.machine import decide
from dialogue_operator.rollout.observed import Observed, ObservedRevision


def first_objects(model: DialogueModel, gateway: GatewayRef, image: str) -> list[Json]:
    """In the order in which they are applied; the routes follow once the pods are ready."""
    now = datetime.now(UTC)  # reaches the status alone, which is not printed
    coming = decide(model, Observed(), now, image, gateway.domain)
    size = model.spec.scaling.replicas
    ready = {r.revision: ObservedRevision(r.revision, True, size, size) for r in coming.plan.revisions}
    there = decide(replace(model, status=coming.status), Observed(ready), now, image, gateway.domain)
    return immutable_objects(model, coming.plan) + route_objects(model, there.plan, gateway)
