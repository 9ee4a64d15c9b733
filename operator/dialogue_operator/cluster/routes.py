"""A live HTTPRoute or GRPCRoute, reduced to where it sends conversations and whether the gateway took it."""

from collections import Counter
from collections.abc import Iterable

from dialogue_operator import names
from dialogue_operator.api.base import Json
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.cluster.hosts import is_gateway
from dialogue_operator.render.routes import GatewayRef
from dialogue_operator.rollout.observed import ObservedRoute

STRANGER = "other"  # a backend that is no revision of ours: somebody edited the route
TAKEN = ("Accepted", "ResolvedRefs")


def observed_route(model: DialogueModel, gateway: GatewayRef, route: Json) -> ObservedRoute:
    weights: Counter[str] = Counter()
    named: set[str] = set()
    for rule in route["spec"].get("rules", []):
        for backend in rule.get("backendRefs", []):
            revision = _revision(model.name, backend["name"])
            named.add(revision)
            if not _is_pin(rule) and backend.get("weight", 1):
                weights[revision] += backend.get("weight", 1)
    accepted, problem = _verdict(route, gateway)
    return ObservedRoute(dict(weights), frozenset(named - {STRANGER}), accepted, problem)


def _revision(model: str, backend: str) -> str:
    prefix, suffix = f"{model}-", "-predictor"
    revision = backend.removeprefix(prefix).removesuffix(suffix)
    return revision if backend == names.predictor_name(model, revision) and len(revision) == 8 else STRANGER


def _is_pin(rule: Json) -> bool:
    headers = [header for match in rule.get("matches", []) for header in match.get("headers", [])]
    return any(header["name"].lower() == names.HEADER_REVISION for header in headers)


def _verdict(route: Json, gateway: GatewayRef) -> tuple[bool, str]:
    """Whether our gateway said yes to the generation that was read, and its words where it said no."""
    metadata = route["metadata"]
    parents = (route.get("status") or {}).get("parents", [])
    ours = [p for p in parents if is_gateway(p["parentRef"], gateway, metadata["namespace"])]
    current = [
        {c["type"]: c for c in parent.get("conditions", []) if c.get("observedGeneration") == metadata["generation"]}
        for parent in ours
    ]
    refusals = [c for conditions in current for c in _refusals(conditions.values())]
    accepted = any(all(t in conditions and conditions[t]["status"] == "True" for t in TAKEN) for conditions in current)
    problem = "; ".join(f"{c.get('reason', '')}: {c.get('message', '')}".strip(": ") for c in refusals)
    return accepted and not refusals, problem


def _refusals(conditions: Iterable[Json]) -> list[Json]:
    return [c for c in conditions if c["type"] in TAKEN and c["status"] == "False"]
