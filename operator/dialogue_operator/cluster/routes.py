"""A route as it was read, reduced to where it sends conversations and whether the gateway took it."""

import json
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
    named: set[str] = set()
    weights: Counter[str] = Counter()
    for rule in route["spec"].get("rules", []):
        by_pods: dict[str, int] = {}
        for backend in rule.get("backendRefs", []):
            pods = _revision(model.name, backend["name"])
            named.add(pods)
            by_pods[pods] = by_pods.get(pods, 0) + backend.get("weight", 1)
        if not _is_pin(rule):
            weights.update(_by_revision(by_pods, _arms(rule)))
    accepted, problem = _verdict(route, gateway)
    shares = {revision: weight for revision, weight in weights.items() if weight}
    return ObservedRoute(shares, frozenset(named - {STRANGER}), accepted, problem)


def _revision(model: str, backend: str) -> str:
    prefix, suffix = f"{model}-", "-predictor"
    revision = backend.removeprefix(prefix).removesuffix(suffix)
    return revision if backend == names.predictor_name(model, revision) and len(revision) == 8 else STRANGER


def _is_pin(rule: Json) -> bool:
    headers = [header for match in rule.get("matches", []) for header in match.get("headers", [])]
    return any(header["name"].lower() == names.HEADER_REVISION for header in headers)


def _by_revision(by_pods: dict[str, int], arms: Json) -> dict[str, int]:
    """Weights of pods, divided among the revisions that run in them."""
    found: dict[str, int] = {}
    for pods, weight in by_pods.items():
        variants = {arm["revision"]: round(weight * arm["weight"] / 100) for arm in arms.get(pods, [])}
        found |= variants | {pods: weight - sum(variants.values())}
    return found


def _arms(rule: Json) -> Json:
    for one in rule.get("filters", []):
        for header in one.get("requestHeaderModifier", {}).get("set", []):
            if header["name"].lower() == names.HEADER_ARMS:
                try:
                    return dict(json.loads(header["value"]))
                except ValueError:  # somebody else's words: the route will be written anew
                    return {}
    return {}


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
