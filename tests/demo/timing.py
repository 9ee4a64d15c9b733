"""How long from `kubectl apply` to the first reply, and whose time it was: the pods' or ours."""

import time
from dataclasses import dataclass

from demo.shell import kubectl, kubectl_json, wait_for
from demo.talk import HttpClient, Place, Reply, RequestFailed

HELLO = [{"role": "user", "content": "hello"}]


@dataclass(frozen=True)
class FirstReply:
    """Seconds. `pod` runs from the pod's creation to its readiness; the rest is the operator's, KServe's and the gateway's."""

    total: float
    pod: float
    reply: Reply

    @property
    def rest(self) -> float:
        return self.total - self.pod


def apply_and_ask(manifest: str, namespace: str, place: Place) -> FirstReply:
    """Apply a DialogueModel that is new in this namespace, and ask until it answers."""
    labels = f"serving.dialogue.dev/model={place.model}"

    def pods() -> list[dict[str, dict[str, object]]]:
        found: list[dict[str, dict[str, object]]] = kubectl_json("get", "pods", "-n", namespace, "-l", labels)["items"]
        return found

    began = time.monotonic()
    kubectl("apply", "-n", namespace, "-f", manifest)
    wait_for("the first pod", lambda: bool(pods()), 60)
    pod_created = time.monotonic()
    kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod", "-l", labels, "--timeout=300s")
    pod_ready = time.monotonic()
    client, replies = HttpClient(place), []

    def answered() -> bool:
        try:
            replies.append(client.ask(HELLO))
        except RequestFailed:
            return False
        return True

    wait_for("the first reply", answered, 60, every=0.02)
    return FirstReply(time.monotonic() - began, pod_ready - pod_created, replies[0])
