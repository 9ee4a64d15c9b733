"""HTTPRoute and GRPCRoute: pinned conversations by their revision's name, new ones by weight. Each has its own host.

`rules` is an atomic list, so the whole route is ours. Every rule sets or removes the headers that speak to our predictors,
so that nobody outside can forge them.
"""

import json
from dataclasses import dataclass

from dialogue_operator import names
from dialogue_operator.api.base import Json
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.render.metadata import metadata
from dialogue_operator.rollout.plan import Plan

GATEWAY_API = "gateway.networking.k8s.io/v1"
HTTP, GRPC = "HTTPRoute", "GRPCRoute"
PORTS = {HTTP: names.SERVICE_HTTP_PORT, GRPC: names.GRPC_PORT}


@dataclass(frozen=True)
class GatewayRef:
    """The Gateway that our routes attach to, and the domain below which hosts are made."""

    name: str
    namespace: str
    domain: str


@dataclass(frozen=True)
class Backend:
    """Where requests go that no pod may be there for: a Service of another namespace that holds them."""

    name: str
    namespace: str
    port: int


def routes(model: DialogueModel, plan: Plan, gateway: GatewayRef, sleeper: Backend | None = None) -> list[Json]:
    """Both routes, and two more while a revision is previewed. `sleeper` takes HTTP while the plan is asleep."""
    found = [
        _route(
            kind,
            model.name,
            _host(kind, model.name, model, gateway),
            _rules(kind, model, plan, sleeper),
            model,
            gateway,
        )
        for kind in (HTTP, GRPC)
    ]
    if plan.preview:
        name, shown = names.preview_name(model.name), ((plan.preview, 100),)
        for kind in (HTTP, GRPC):
            rules = [_by_weight(kind, model, plan, shown)]
            found.append(_route(kind, name, _host(kind, name, model, gateway), rules, model, gateway))
    return found


def _host(kind: str, name: str, model: DialogueModel, gateway: GatewayRef) -> str:
    make = names.http_host if kind == HTTP else names.grpc_host
    return make(name, model.namespace, gateway.domain)


def _route(kind: str, name: str, host: str, rules: list[Json], model: DialogueModel, gateway: GatewayRef) -> Json:
    return {
        "apiVersion": GATEWAY_API,
        "kind": kind,
        "metadata": metadata(model, name),
        "spec": {
            "parentRefs": [{"name": gateway.name, "namespace": gateway.namespace}],
            "hostnames": [host],
            "rules": rules,
        },
    }


def _rules(kind: str, model: DialogueModel, plan: Plan, sleeper: Backend | None) -> list[Json]:
    if plan.asleep and sleeper and kind == HTTP:
        backend = {"group": "", "kind": "Service", "name": sleeper.name, "namespace": sleeper.namespace}
        return [{"filters": [_headers(plan)], "backendRefs": [{**backend, "port": sleeper.port, "weight": 1}]}]
    by_pods: dict[str, list[str]] = {}
    for revision in plan.pinned:
        by_pods.setdefault(plan.pods_of(revision), []).append(revision)
    pins = [
        {
            "matches": [match for revision in revisions for match in _matches(kind, revision)],
            "filters": [_headers(plan)],
            "backendRefs": [_backend(kind, model, pods, 1)],
        }
        for pods, revisions in sorted(by_pods.items())
    ]
    return [*pins, _by_weight(kind, model, plan, plan.traffic)]


def _by_weight(kind: str, model: DialogueModel, plan: Plan, traffic: tuple[tuple[str, int], ...]) -> Json:
    weights: dict[str, int] = {}
    for revision, weight in traffic:
        pods = plan.pods_of(revision)
        weights[pods] = weights.get(pods, 0) + weight
    backends = [_backend(kind, model, pods, weight) for pods, weight in sorted(weights.items())]
    return {"filters": [_headers(plan, traffic)], "backendRefs": backends}


def _matches(kind: str, revision: str) -> list[Json]:
    """By header or metadata; browsers, which echo nothing else, by cookie."""
    exact = {"type": "Exact", "name": names.HEADER_REVISION, "value": revision}
    cookie = {
        "type": "RegularExpression",
        "name": "Cookie",
        "value": f"^(.*;\\s*)?{names.COOKIE_REVISION}={revision}(;.*)?$",
    }
    return [{"headers": [one]} for one in ([exact, cookie] if kind == HTTP else [exact])]


def _backend(kind: str, model: DialogueModel, pods: str, weight: int) -> Json:
    name = names.predictor_name(model.name, pods)
    return {"group": "", "kind": "Service", "name": name, "port": PORTS[kind], "weight": weight}


def _headers(plan: Plan, traffic: tuple[tuple[str, int], ...] | None = None) -> Json:
    """What the predictors are told with each request: the variants in their pods, and whom to send copies to."""
    told = {
        names.HEADER_ARMS: _arms(plan, plan.traffic if traffic is None else traffic),
        names.HEADER_SHADOW: _shadow(plan),
    }
    change: Json = {}
    if found := [{"name": name, "value": value} for name, value in told.items() if value]:
        change["set"] = found
    if absent := [name for name, value in told.items() if not value]:
        change["remove"] = absent
    return {"type": "RequestHeaderModifier", "requestHeaderModifier": change}


def _arms(plan: Plan, traffic: tuple[tuple[str, int], ...]) -> str:
    """Percentages are of what reaches the same pods; what is left is for the pods' own revision."""
    shares = dict(traffic)
    named = {*shares, *plan.pinned, *([plan.preview] if plan.preview else [])}
    arms: dict[str, list[Json]] = {}
    for variant in plan.variants:
        if variant.revision in named:
            in_pods = [r for r in shares if plan.pods_of(r) == variant.pods]
            total = sum(shares[r] for r in in_pods)
            weight = round(100 * shares.get(variant.revision, 0) / total, 4) if total else 0
            entry = {"revision": variant.revision, "weight": weight, "generation": variant.generation.to_json()}
            arms.setdefault(variant.pods, []).append(entry)
    return json.dumps(arms, separators=(",", ":")) if arms else ""


def _shadow(plan: Plan) -> str:
    return f"{plan.shadow[0]}:{plan.shadow[1]}" if plan.shadow else ""
