"""In KServe's place where hundreds of InferenceServices are wanted at once: its manager has 20 calls a second.

For the operator it makes no difference who makes the pods. The real manager rests meanwhile, and its webhooks with it.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from dialogue_operator import names
from dialogue_operator.cluster.client import MERGE, KubeClient
from dialogue_operator.cluster.errors import AlreadyExists, ApiError
from dialogue_operator.cluster.resources import DEPLOYMENT, INFERENCE_SERVICE, Resource
from dialogue_operator.cluster.snapshot import OURS
from support.light import Light

Json = dict[str, Any]
MANAGER = "kserve-manager"
WEBHOOKS = "mutatingwebhookconfigurations,validatingwebhookconfigurations"
AT_ONCE = 300
LOOK_SECONDS = 1.0  # reading a thousand of each more often would be most of what the API server does
SERVICE = Resource("v1", "Service", "services")
READY = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}


@contextmanager
def kserve_rests(light: Light) -> Iterator[None]:
    hooks = json.loads(light.kubectl("get", WEBHOOKS, "-o", "json"))["items"]
    ours = [hook for hook in hooks if "kserve" in hook["metadata"]["name"]]
    for hook in ours:
        hook["metadata"] = {"name": hook["metadata"]["name"], "labels": hook["metadata"].get("labels", {})}
        light.kubectl("delete", hook["kind"], hook["metadata"]["name"])
    light.stop(MANAGER)
    try:
        yield
    finally:
        light.again(MANAGER)
        light.apply(*ours)


async def stand_in(client: KubeClient) -> None:
    """For ever: a Deployment and a Service for each InferenceService, and Ready as soon as it has a ready pod."""
    while True:
        deployments = {_place(one): one for one in await client.list(DEPLOYMENT, selector=OURS)}
        services = await client.list(INFERENCE_SERVICE, selector=OURS)
        waiting = [one for one in services if not _is_ready(one)][:AT_ONCE]
        await asyncio.gather(*(_serve(client, service, deployments) for service in waiting))
        await asyncio.sleep(LOOK_SECONDS)


async def _serve(client: KubeClient, service: Json, deployments: Mapping[tuple[str, str], Json]) -> None:
    namespace, name = _place(service)
    deployment = deployments.get((namespace, f"{name}-predictor"))
    with suppress(ApiError):  # it has gone meanwhile
        if deployment is None:
            await _make(client, service)
        elif deployment.get("status", {}).get("readyReplicas"):
            path = INFERENCE_SERVICE.path(namespace, name, "status")
            await client._call("PATCH", path, {"fieldManager": "kserve"}, READY, MERGE)


async def _make(client: KubeClient, service: Json) -> None:
    namespace, name = _place(service)
    labels = service["metadata"]["labels"]
    owner = {
        "apiVersion": INFERENCE_SERVICE.api_version, "kind": INFERENCE_SERVICE.kind, "name": name,
        "uid": service["metadata"]["uid"], "controller": True,
    }  # fmt: skip
    meta = {"namespace": namespace, "name": f"{name}-predictor", "labels": labels, "ownerReferences": [owner]}
    app = {"app": name}
    pod = {
        "metadata": {"labels": {**labels, **app}},
        "spec": {"containers": [{"name": "c", "image": "example.test/c:1"}]},
    }
    ports = [
        {"name": "http", "port": names.SERVICE_HTTP_PORT, "targetPort": names.HTTP_PORT},
        {"name": "grpc", "port": names.GRPC_PORT, "appProtocol": "kubernetes.io/h2c"},
    ]
    for resource, spec in (
        (SERVICE, {"selector": app, "ports": ports}),
        (DEPLOYMENT, {"selector": {"matchLabels": app}, "template": pod}),
    ):
        head = {"apiVersion": resource.api_version, "kind": resource.kind}
        try:
            await client._call("POST", resource.path(namespace), body={**head, "metadata": meta, "spec": spec})
        except AlreadyExists:
            continue


def _is_ready(service: Json) -> bool:
    conditions = service.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _place(item: Json) -> tuple[str, str]:
    return item["metadata"]["namespace"], item["metadata"]["name"]
