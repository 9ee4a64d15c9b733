"""The models of the story, small enough that several fit beside each other on two cores."""

import json
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from demo.shell import kubectl, kubectl_json, wait_for
from demo.talk import HttpClient, Place, RequestFailed
from demo.timing import HELLO

NAMESPACE = "scale"
DOMAIN = "example.com"


def publish(name: str, scaling: Mapping[str, Any], cpu: str = "100m", rollout: Mapping[str, Any] | None = None) -> None:
    """Apply a DialogueModel; another `cpu` makes another revision."""
    manifest = {
        "apiVersion": "serving.dialogue.dev/v1alpha1",
        "kind": "DialogueModel",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "model": {"uri": "builtin://default", "version": "1.0.0"},
            "runtime": {"resources": {"cpu": cpu, "memory": "1Gi"}},
            "rollout": {"drain": "5s", **(rollout or {})},
            "scaling": scaling,
        },
    }
    kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(manifest))


def ready(name: str, gateway: str) -> None:
    """Until it answers: a gateway may say that it has taken a route a moment before it has."""
    kubectl("wait", "-n", NAMESPACE, "--for=condition=Ready", f"dm/{name}", "--timeout=120s")

    def answers() -> bool:
        with closing(HttpClient(place(gateway, name))) as client:
            try:
                return bool(client.ask(HELLO).revision)
            except RequestFailed:
                return False

    wait_for(f"an answer of {name}", answers, 60)


def status(name: str) -> dict[str, Any]:
    found: dict[str, Any] = kubectl_json("get", "dm", name, "-n", NAMESPACE).get("status", {})
    return found


def place(gateway: str, name: str) -> Place:
    return Place(gateway, name, f"{name}.{NAMESPACE}.{DOMAIN}", f"{name}-grpc.{NAMESPACE}.{DOMAIN}")
