"""The DialogueModel that is rolled out, and the versions that are published for it."""

import json
from typing import Any

import yaml

from demo import place as places
from demo.shell import ROOT, DemoError, kubectl, kubectl_json, wait_for
from demo.talk import Place

NAMESPACE, MODEL = "rollouts", "concierge"
VERSIONS = {
    "1.1.0": ["publish"],
    "slow": ["spoil", "--how", "slow"],
    "erroring": ["spoil", "--how", "erroring"],
    "garbage": ["spoil", "--how", "garbage"],
}
Json = dict[str, Any]


def place_on(cluster: places.Cluster) -> Place:
    host = f"{NAMESPACE}.example.com"
    return Place(places.gateway_address(cluster.gateway), MODEL, f"{MODEL}.{host}", f"{MODEL}-grpc.{host}")


def prepare(cluster: places.Cluster) -> None:
    """An empty namespace with every version on a volume."""
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
    kubectl("create", "namespace", NAMESPACE)
    cluster.free_volumes()
    text = (ROOT / "manifests/samples/publish.yaml").read_text().replace("PREDICTOR_IMAGE", cluster.predictor_image)
    text = text.replace("storageClassName: standard", f"storageClassName: {cluster.storage_class}")
    claim, job = yaml.safe_load_all(text)
    pod = job["spec"]["template"]["spec"]
    [container, *_] = pod["containers"]
    pod["containers"] = []
    for version, (command, *options) in VERSIONS.items():
        words = ["bundle", command, "builtin://default-1.1.0", f"/mnt/models/{version}", *options]
        pod["containers"].append({**container, "name": version.replace(".", "-"), "args": words})
    kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin="\n---\n".join(map(json.dumps, (claim, job))))
    name = job["metadata"]["name"]

    def published() -> bool:
        state = kubectl_json("get", "job", name, "-n", NAMESPACE).get("status", {})
        if state.get("failed"):
            raise DemoError(kubectl("logs", "-n", NAMESPACE, f"job/{name}", "--all-containers", "--tail=3"))
        return bool(state.get("succeeded"))

    wait_for("the published bundles", published, 300, every=0.5)


def apply(source: Json, rollout: Json) -> None:
    spec = {
        "model": source,
        "runtime": {"resources": {"cpu": "100m", "memory": "1Gi"}},
        "generation": {"numBeams": 1, "maxNewTokens": 32},
        "rollout": {"drain": "5s", **rollout},
    }
    manifest = {"apiVersion": "serving.dialogue.dev/v1alpha1", "kind": "DialogueModel", "spec": spec}
    metadata = {"name": MODEL, "namespace": NAMESPACE}
    kubectl("apply", "-f", "-", stdin=json.dumps({**manifest, "metadata": metadata}))


def volume(version: str) -> Json:
    return {"uri": f"pvc://models/{version}", "version": version}


def status() -> Json:
    """Empty until it answers the spec as it is now."""
    found = kubectl_json("get", "dm", MODEL, "-n", NAMESPACE)
    state: Json = found.get("status", {})
    return state if state.get("observedGeneration") == found["metadata"]["generation"] else {}
