"""The API server itself goes away in the middle of a rollout, and comes back: the operator's process lives through it."""

import asyncio
import uuid
from pathlib import Path

from cluster import api
from support.light import Light
from support.objects import manifest
from support.operators import eventually, operator

SECONDS = 20.0  # beyond the Lease: whoever led has ended, and was started again
STEPS = [{"weight": 20, "hold": "2s"}, {"weight": 60, "hold": "2s"}]


def outage(light: Light, folder: Path) -> list[str]:
    """What was wrong afterwards; empty when all was well."""
    namespace, name = f"outage-{uuid.uuid4().hex[:6]}", "survivor"
    light.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    settings = {"lease_seconds": "15", "lease_name": namespace, "watch_namespaces": namespace}
    steps = {"strategy": "Canary", "steps": STEPS, "drain": "1s"}
    with operator(light.kubeconfig, folder, **settings) as first:
        light.apply(manifest(name, namespace, spec__rollout=steps))
        eventually("it serves", lambda: light.is_ready(namespace, name), 120.0)
        light.patch("dialoguemodel", namespace, name, {"spec": {"model": {"version": "2.0.0"}}})
        eventually("it is under way", lambda: light.status(namespace, name)["rollout"]["step"] == 1, 60.0)
        light.stop("apiserver")
        asyncio.run(asyncio.sleep(SECONDS))
        light.again("apiserver")
        eventually("the API server is back", api.is_ready, 60.0)
        ended = first.process.poll()
    with operator(light.kubeconfig, folder, **settings):  # as the Deployment would
        eventually("it is over", lambda: light.status(namespace, name).get("stableVersion") == "2.0.0", 120.0)
    light.kubectl("delete", "namespace", namespace, "--wait=false")
    return [] if ended in (None, 70) else [f"the operator ended with {ended}"]
