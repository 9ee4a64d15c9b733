"""From a decision to writes, in an order in which a crash after any of them leaves a world that still serves.

What serves comes first, then its size, then what sends traffic there, and what nothing refers to goes last. Everything
is compared with what was read: a converged world gets no write at all. The status was recorded before.
"""

from dialogue_operator import names
from dialogue_operator.api.base import Json
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.cluster.client import KubeClient
from dialogue_operator.cluster.errors import AlreadyExists, Forbidden
from dialogue_operator.cluster.observe import Sight
from dialogue_operator.cluster.resources import (
    DEPLOYMENT,
    HTTP_ROUTE,
    HTTP_SCALED_OBJECT,
    INFERENCE_SERVICE,
    ROUTES,
    SERVING_RUNTIME,
    controller_uid,
    resource_of,
)
from dialogue_operator.render.capabilities import Capabilities
from dialogue_operator.render.objects import helper_objects, immutable_objects, route_objects
from dialogue_operator.render.routes import GatewayRef
from dialogue_operator.render.scaler import is_scaled, least
from dialogue_operator.rollout.plan import Plan

HELPERS = frozenset({"HorizontalPodAutoscaler", "ScaledObject", "HTTPScaledObject", "PodDisruptionBudget"})


async def apply(
    client: KubeClient,
    model: DialogueModel,
    plan: Plan,
    gateway: GatewayRef,
    sight: Sight,
    capabilities: Capabilities = Capabilities(),  # noqa: B008 - frozen
) -> None:
    for manifest in immutable_objects(model, plan):
        if (manifest["kind"], manifest["metadata"]["name"]) not in sight.objects:
            await _create(client, manifest)
    helpers = helper_objects(model, plan, capabilities, gateway)
    wanted = {(one["kind"], one["metadata"]["name"]) for one in helpers}
    left_over = {key: found for key, found in sight.objects.items() if key[0] in HELPERS and key not in wanted}
    for (kind, _), found in left_over.items():
        if kind != HTTP_SCALED_OBJECT.kind or not _may_be_held(model, sight):
            await _delete(client, kind, found)
    for manifest in helpers:
        await _keep(client, manifest, sight.objects.get((manifest["kind"], manifest["metadata"]["name"])))
    for revision in plan.revisions:
        scaled = is_scaled(plan, revision, capabilities)
        size = least(plan, revision, capabilities)
        await _resize(client, sight.deployments.get(revision.revision), size, only_up=scaled)
    for manifest in route_objects(model, plan, gateway, capabilities):
        await _keep(client, manifest, sight.objects.get((manifest["kind"], manifest["metadata"]["name"])))
    if not plan.preview:
        for route in ROUTES:
            await _delete(client, route.kind, sight.objects.get((route.kind, names.preview_name(model.name))))
    for gone in plan.prune:
        # The service first: without its runtime it could not be reconciled any more.
        for kind in (INFERENCE_SERVICE.kind, SERVING_RUNTIME.kind):
            await _delete(client, kind, sight.objects.get((kind, names.service_name(model.name, gone))))


async def _create(client: KubeClient, manifest: Json) -> None:
    """Written once. That it exists is fine where an earlier try made it, and no business of ours where others did."""
    try:
        await client.create(manifest)
    except AlreadyExists as error:
        metadata = manifest["metadata"]
        found = await client.find(resource_of(manifest), metadata["namespace"], metadata["name"])
        if found and controller_uid(found) != controller_uid(manifest):
            text = f"{manifest['kind']} {metadata['namespace']}/{metadata['name']} exists and belongs to something else"
            raise Forbidden(error.call, error.status, text) from error


async def _resize(client: KubeClient, deployment: Json | None, replicas: int, only_up: bool) -> None:
    """Before KServe has made the Deployment there is nothing to size; its appearance rings the bell.

    Up to its least size nobody need wait for a scaler, which may be slow or out of order; all else is the scaler's.
    """
    if deployment is None:
        return
    now = deployment["spec"].get("replicas", 1)
    if now < replicas or (now > replicas and not only_up):
        metadata = deployment["metadata"]
        place = (metadata["namespace"], metadata["name"])
        await client.patch_scale(DEPLOYMENT, *place, replicas, metadata["resourceVersion"])


def _may_be_held(model: DialogueModel, sight: Sight) -> bool:
    """Requests may still come by way of what holds them for a sleeping model, which is in a namespace of its own."""
    route = sight.objects.get((HTTP_ROUTE.kind, model.name))
    rules = route["spec"]["rules"] if route else []
    held = any("namespace" in backend for rule in rules for backend in rule.get("backendRefs", []))
    return held or not all(one.accepted for one in sight.observed.routes)


async def _keep(client: KubeClient, manifest: Json, live: Json | None) -> None:
    """As rendered, and with the resourceVersion that was read: a leader that is out of date moves no traffic."""
    if live is None:
        await client.apply(manifest)
    elif not is_current(live, manifest):
        version = live["metadata"]["resourceVersion"]
        await client.apply({**manifest, "metadata": {**manifest["metadata"], "resourceVersion": version}})


async def _delete(client: KubeClient, kind: str, found: Json | None) -> None:
    if found and "deletionTimestamp" not in found["metadata"]:
        await client.delete({**found, "kind": kind})


def is_current(live: Json, desired: Json) -> bool:
    """Everything desired is there; what the server added by default, and labels of others, do not count."""
    labels = live["metadata"].get("labels", {})
    return includes(labels, desired["metadata"]["labels"]) and includes(live["spec"], desired["spec"])


def includes(live: object, desired: object) -> bool:
    if isinstance(live, dict) and isinstance(desired, dict):
        return all(key in live and includes(live[key], value) for key, value in desired.items())
    if isinstance(live, list) and isinstance(desired, list):
        return len(live) == len(desired) and all(map(includes, live, desired))
    return live == desired
