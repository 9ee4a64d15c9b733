"""Talking to the cluster's API server, through kubectl."""

import json
from collections.abc import Mapping

from cluster.build import program
from cluster.places import ADMIN_KUBECONFIG
from cluster.shell import attempt, run

Manifest = Mapping[str, object]


def kubectl(*words: str, stdin: str | None = None) -> str:
    return run(program("kubectl"), f"--kubeconfig={ADMIN_KUBECONFIG}", *words, stdin=stdin)


def ask(*words: str) -> str | None:
    """What kubectl says, or None if it fails."""
    return attempt(program("kubectl"), f"--kubeconfig={ADMIN_KUBECONFIG}", *words)


def is_ready() -> bool:
    return ask("get", "--raw=/readyz", "--request-timeout=5s") == "ok"


def holds(condition: str, *objects: str) -> bool:
    """Whether a condition holds within five seconds.

    `kubectl wait` gives up at once on an object whose status is still empty; callers ask again.
    """
    return ask("wait", f"--for=condition={condition}", *objects, "--timeout=5s") is not None


def apply(*manifests: Manifest | str, namespace: str | None = None) -> None:
    """Server-side apply of objects, given as dicts or as YAML text."""
    text = "\n---\n".join(one if isinstance(one, str) else json.dumps(one) for one in manifests)
    where = ["-n", namespace] if namespace else []  # for objects that leave theirs out
    kubectl(
        "apply", "--server-side", "--force-conflicts", "--field-manager=local-cluster", *where, "-f", "-", stdin=text
    )
