"""From a decision to writes, in an order in which a crash after any of them leaves a world that still serves.

What serves comes first, then its size, then what sends traffic there, and what nothing refers to goes last. Everything
is compared with what was read: a converged world gets no write at all. The status was recorded before.
"""

from dialogue_operator.api.base import Json
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.cluster.client import KubeClient
from dialogue_operator.cluster.errors import AlreadyExists, Forbidden
from dialogue_operator.cluster.observe import Sight
from dialogue_operator.cluster.resources import (
    DEPLOYMENT,
    INFERENCE_SERVICE,
    SERVING_RUNTIME,
    controller_uid,
    resource_of,
)
from dialogue_operator.names import service_name
from dialogue_operator.render.objects import immutable_objects, route_objects
from dialogue_operator.render.routes import GatewayRef
from dialogue_operator.rollout.plan import Plan


async def apply(client: KubeClient, model: DialogueModel, plan: Plan, gateway: GatewayRef, sight: Sight) -> None:
    for manifest in immutable_objects(model, plan):
        if (manifest["kind"], manifest["metadata"]["name"]) not in sight.objects:
            await _create(client, manifest)
    for revision in plan.revisions:
        await _resize(client, sight.deployments.get(revision.revision), revision.replicas)
    for manifest in route_objects(model, plan, gateway):
        await _route(client, manifest, sight.objects.get((manifest["kind"], manifest["metadata"]["name"])))
    for gone in plan.prune:
        # The service first: without its runtime it could not be reconciled any more.
        for kind in (INFERENCE_SERVICE.kind, SERVING_RUNTIME.kind):
            found = sight.objects.get((kind, service_name(model.name, gone)))
            if found and "deletionTimestamp" not in found["metadata"]:
                await client.delete({**found, "kind": kind})


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


async def _resize(client: KubeClient, deployment: Json | None, replicas: int) -> None:
    """Before KServe has made the Deployment there is nothing to size; its appearance rings the bell."""
    if deployment and deployment["spec"].get("replicas") != replicas:
        metadata = deployment["metadata"]
        await client.patch_scale(DEPLOYMENT, metadata["namespace"], metadata["name"], replicas)


async def _route(client: KubeClient, manifest: Json, live: Json | None) -> None:
    """With the resourceVersion that was read: a leader that is out of date moves no traffic."""
    if live is None:
        await client.apply(manifest)
    elif not is_current(live, manifest):
        version = live["metadata"]["resourceVersion"]
        await client.apply({**manifest, "metadata": {**manifest["metadata"], "resourceVersion": version}})


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
