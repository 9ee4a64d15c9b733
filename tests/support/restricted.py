"""The `restricted` Pod Security Standard and what we ask for beyond it, as checks of a pod spec."""

from collections.abc import Iterator
from typing import Any


def violations(pod: dict[str, Any]) -> Iterator[str]:
    """What would be refused, or what we do not want; nothing for a good pod."""
    shared = pod.get("securityContext", {})
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(key):
            yield key
    for volume in pod.get("volumes", []):
        if not {"emptyDir", "configMap", "projected", "persistentVolumeClaim", "secret"} & volume.keys():
            yield f"volume {volume['name']}"
    for container in pod["containers"] + pod.get("initContainers", []):
        own = container.get("securityContext", {})
        name = container["name"]
        for key, wanted in (
            ("allowPrivilegeEscalation", False),
            ("readOnlyRootFilesystem", True),
            ("capabilities", {"drop": ["ALL"]}),
        ):
            if own.get(key) != wanted:
                yield f"{name}: {key} is {own.get(key)}"
        for key, accepted in (("runAsNonRoot", True), ("seccompProfile", {"type": "RuntimeDefault"})):
            if own.get(key, shared.get(key)) != accepted:
                yield f"{name}: {key}"
        if not isinstance(user := own.get("runAsUser", shared.get("runAsUser")), int) or user < 10000:
            yield f"{name}: runAsUser {user} is not numeric and above 10000"
        if own.get("privileged"):
            yield f"{name}: privileged"
        resources = container.get("resources", {})
        if not {"cpu", "memory"} <= resources.get("requests", {}).keys() or "memory" not in resources.get("limits", {}):
            yield f"{name}: resources"
