"""What the operator would apply for a DialogueModel that the cluster has not seen, once all of it has come up."""

from dataclasses import replace
from datetime import UTC, datetime

from dialogue_operator.api.base import Json
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.render.capabilities import Capabilities
from dialogue_operator.render.objects import helper_objects, immutable_objects, route_objects
from dialogue_operator.render.routes import GatewayRef
from dialogue_operator.rollout.golden import PASSED
from dialogue_operator.rollout.machine import decide
from dialogue_operator.rollout.observed import Observed, ObservedRevision, ObservedRoute
from dialogue_operator.rollout.plan import Plan

PATIENCE = 20  # decisions; the first revision and its arms need a handful


def first_objects(model: DialogueModel, gateway: GatewayRef, image: str) -> list[Json]:
    """In the order in which they are applied; the routes follow once the pods are ready. On a cluster without KEDA."""
    plan = settled_plan(model, gateway.domain, image)
    helpers = helper_objects(model, plan, Capabilities(metrics=True), gateway)
    return [*immutable_objects(model, plan), *helpers, *route_objects(model, plan, gateway)]


def settled_plan(model: DialogueModel, domain: str, image: str) -> Plan:
    """Decide until nothing changes any more, in a world that does at once what the plan says."""
    now = datetime.now(UTC)  # reaches the status alone, which is not printed
    plan, observed = Plan(), Observed()
    for _ in range(PATIENCE):
        decision = decide(model, observed, now, image, domain)
        if decision.status == model.status and decision.plan == plan:
            break
        model, plan = replace(model, status=decision.status), decision.plan
        observed = _obeyed(plan)
    return plan


def _obeyed(plan: Plan) -> Observed:
    revisions = {r.revision: ObservedRevision(r.revision, True, r.replicas, r.replicas) for r in plan.revisions}
    weights = dict(plan.traffic)
    named = frozenset(plan.pods_of(revision) for revision in {*weights, *plan.pinned})
    route = ObservedRoute(weights, named, accepted=True)
    return Observed(
        revisions,
        routes=(route, route) if weights else (),
        golden=dict.fromkeys(revisions, PASSED),
    )
