"""Reading the world live, for one DialogueModel, down to what a decision needs.

Only what this DialogueModel controls counts, by uid: objects of a deleted namesake are somebody else's until they are
gone. What was read stays beside the observation, for `apply` to compare with.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from dialogue_operator import names
from dialogue_operator.api.base import Json
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.cluster.client import KubeClient
from dialogue_operator.cluster.errors import Forbidden
from dialogue_operator.cluster.failures import failure_of, waits_for_volumes
from dialogue_operator.cluster.hosts import HostSurvey, claim_of, host_of
from dialogue_operator.cluster.resources import (
    AUTOSCALER,
    BUDGET,
    DEPLOYMENT,
    EVENT,
    HTTP_SCALED_OBJECT,
    INFERENCE_SERVICE,
    POD,
    ROUTES,
    SCALED_OBJECT,
    SERVING_RUNTIME,
    controller_uid,
)
from dialogue_operator.cluster.routes import observed_route
from dialogue_operator.render.capabilities import Capabilities
from dialogue_operator.render.objects import needs_helpers
from dialogue_operator.render.routes import GatewayRef
from dialogue_operator.render.scaler import scaling_problem
from dialogue_operator.rollout.observed import Observed, ObservedRevision


@dataclass(frozen=True)
class Sight:
    """The observation, and the live objects behind it."""

    observed: Observed
    objects: Mapping[tuple[str, str], Json]  # (kind, name): InferenceServices, ServingRuntimes and routes of ours
    deployments: Mapping[str, Json]  # revision → the Deployment that KServe made for it


async def observe(
    client: KubeClient,
    model: DialogueModel,
    gateway: GatewayRef,
    survey: HostSurvey,
    capabilities: Capabilities = Capabilities(),  # noqa: B008 - frozen
) -> Sight:
    """Raises ApiError where the world cannot be read; missing permission to read pods only costs their reasons."""
    ours = {names.LABEL_MANAGED_BY: names.FIELD_MANAGER, names.LABEL_MODEL: model.name}
    lists = (
        client.list(resource, model.namespace, ours) for resource in (INFERENCE_SERVICE, SERVING_RUNTIME, DEPLOYMENT)
    )
    finds = (client.find(resource, model.namespace, model.name) for resource in ROUTES)
    (services, runtimes, deployments), routes, previews, helpers = await asyncio.gather(
        asyncio.gather(*lists), asyncio.gather(*finds), _previews(client, model), _helpers(client, model, capabilities)
    )
    by_revision = _of(model, services)
    all_revisions = {**_of(model, runtimes), **by_revision}
    sizes = {_revision(d): d for d in deployments if controller_uid(d) in {_uid(s) for s in by_revision.values()}}
    revisions = {
        revision: await _revision_of(client, model, revision, by_revision.get(revision), sizes.get(revision))
        for revision in sorted(all_revisions)
    }
    found = {resource.kind: route for resource, route in zip(ROUTES, routes, strict=True) if route}
    own = {kind: route for kind, route in found.items() if controller_uid(route) == model.uid}
    observed = Observed(
        revisions=revisions,
        routes=tuple(observed_route(model, gateway, route) for route in own.values()),
        routes_wanted=len(ROUTES),
        scaling_problem=scaling_problem(model, capabilities),
        can_sleep=capabilities.sleep,
        previews=tuple(observed_route(model, gateway, route) for _, route in previews),
        host_conflict=await _rival(model, gateway, survey, found, own),
    )
    kept = [(INFERENCE_SERVICE.kind, s) for s in services] + [(SERVING_RUNTIME.kind, r) for r in runtimes]
    kept = [(kind, item) for kind, item in kept if controller_uid(item) == model.uid]
    objects = {(kind, item["metadata"]["name"]): item for kind, item in [*kept, *own.items(), *previews, *helpers]}
    return Sight(observed, objects, sizes)


async def _previews(client: KubeClient, model: DialogueModel) -> list[tuple[str, Json]]:
    """The preview host's routes, where there may be any."""
    if model.spec.rollout.strategy != "BlueGreen" and not model.status.preview_url:
        return []
    name = names.preview_name(model.name)
    found = [(resource.kind, await client.find(resource, model.namespace, name)) for resource in ROUTES]
    return [(kind, route) for kind, route in found if route and controller_uid(route) == model.uid]


async def _helpers(client: KubeClient, model: DialogueModel, capabilities: Capabilities) -> list[tuple[str, Json]]:
    """Autoscalers and disruption budgets, where there may be any."""
    if not (model.status.helped or needs_helpers(model)):
        return []
    ours = {names.LABEL_MANAGED_BY: names.FIELD_MANAGER, names.LABEL_MODEL: model.name}
    kinds = [AUTOSCALER, BUDGET]
    kinds += [SCALED_OBJECT] if capabilities.keda else []
    kinds += [HTTP_SCALED_OBJECT] if capabilities.http_addon else []
    found = await asyncio.gather(*(client.list(kind, model.namespace, ours) for kind in kinds))
    return [(k.kind, o) for k, items in zip(kinds, found, strict=True) for o in items if controller_uid(o) == model.uid]


def _of(model: DialogueModel, items: list[Json]) -> dict[str, Json]:
    return {_revision(item): item for item in items if controller_uid(item) == model.uid}


def _revision(item: Json) -> str:
    return str(item["metadata"].get("labels", {}).get(names.LABEL_REVISION, ""))


def _uid(item: Json) -> str:
    return str(item["metadata"]["uid"])


async def _rival(
    model: DialogueModel, gateway: GatewayRef, survey: HostSurvey, found: dict[str, Json], own: dict[str, Json]
) -> str:
    """Whoever holds a host of ours, or stands in the very place of a route of ours."""
    for kind in found.keys() - own.keys():
        return f"{kind} {model.namespace}/{model.name}"
    http = names.http_host(model.name, model.namespace, gateway.domain)
    grpc = names.grpc_host(model.name, model.namespace, gateway.domain)
    claims = {
        host_of(resource, http, grpc): claim_of(own[resource.kind], resource.kind) if resource.kind in own else None
        for resource in ROUTES
    }
    return await survey.rival(model.uid, claims)


async def _revision_of(
    client: KubeClient, model: DialogueModel, revision: str, service: Json | None, deployment: Json | None
) -> ObservedRevision:
    status = (deployment or {}).get("status") or {}
    ready_replicas = status.get("readyReplicas", 0)
    current = bool(deployment) and status.get("observedGeneration", 0) >= (deployment or {})["metadata"]["generation"]
    ready = _is_ready(service) and current and ready_replicas >= 1
    replicas = (deployment or {}).get("spec", {}).get("replicas", 0)
    failure = None
    if not ready or ready_replicas < replicas:
        pods, mounts = await _pods(client, model, revision)
        failure = failure_of(service, deployment, pods, mounts)
    return ObservedRevision(
        revision=revision,
        ready=ready,
        replicas=replicas,
        ready_replicas=ready_replicas,
        deleting=service is not None and "deletionTimestamp" in service["metadata"],
        failure=failure,
    )


def _is_ready(service: Json | None) -> bool:
    conditions = ((service or {}).get("status") or {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


async def _pods(client: KubeClient, model: DialogueModel, revision: str) -> tuple[list[Json], list[str]]:
    """Pods of one revision, and what events say about volumes that do not mount."""
    try:
        pods = await client.list(POD, model.namespace, {names.LABEL_MODEL: model.name, names.LABEL_REVISION: revision})
        mounts: list[str] = []
        for pod in filter(waits_for_volumes, pods):
            about = f"involvedObject.name={pod['metadata']['name']},reason=FailedMount"
            events = await client.list(EVENT, model.namespace, fields=about)
            mounts += [event.get("message", "") for event in events]
    except Forbidden:
        return [], []
    return pods, mounts
