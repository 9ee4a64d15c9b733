"""HTTPRoute and GRPCRoute: pinned conversations by exact header match, new ones by weight. Each has its own host.

`rules` is an atomic list, so the whole route is ours.
"""

from dataclasses import dataclass

from dialogue_operator import names
from dialogue_operator.api.base import Json
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.render.metadata import metadata
from dialogue_operator.rollout.plan import Plan

GATEWAY_API = "gateway.networking.k8s.io/v1"


@dataclass(frozen=True)
class GatewayRef:
    """The Gateway that our routes attach to, and the domain below which hosts are made."""

    name: str
    namespace: str
    domain: str


def http_route(model: DialogueModel, plan: Plan, gateway: GatewayRef) -> Json:
    host = names.http_host(model.name, model.namespace, gateway.domain)
    return _route("HTTPRoute", host, names.SERVICE_HTTP_PORT, model, plan, gateway)


def grpc_route(model: DialogueModel, plan: Plan, gateway: GatewayRef) -> Json:
    host = names.grpc_host(model.name, model.namespace, gateway.domain)
    return _route("GRPCRoute", host, names.GRPC_PORT, model, plan, gateway)


def _route(kind: str, host: str, port: int, model: DialogueModel, plan: Plan, gateway: GatewayRef) -> Json:
    def backend(revision: str, weight: int) -> Json:
        name = names.predictor_name(model.name, revision)
        return {"group": "", "kind": "Service", "name": name, "port": port, "weight": weight}

    def header(revision: str) -> Json:
        return {"type": "Exact", "name": names.HEADER_REVISION, "value": revision}

    pins = [{"matches": [{"headers": [header(r)]}], "backendRefs": [backend(r, 1)]} for r in plan.pinned]
    shares = {"backendRefs": [backend(r, weight) for r, weight in plan.traffic]}
    return {
        "apiVersion": GATEWAY_API,
        "kind": kind,
        "metadata": metadata(model, model.name),
        "spec": {
            "parentRefs": [{"name": gateway.name, "namespace": gateway.namespace}],
            "hostnames": [host],
            "rules": [*pins, shares],
        },
    }
