"""The light cluster (real API server, KServe and gateway; pods that are ready at once) as tests of the operator see it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.build import program
from cluster.lifecycle import record
from cluster.places import ADMIN_KUBECONFIG, STATE
from cluster.versions import LIGHT
from dialogue_operator.api.crd import crd

Json = dict[str, Any]
TESTS = Path(__file__).resolve().parents[1]


class Light:
    """kubectl with dicts."""

    kubeconfig = ADMIN_KUBECONFIG

    def kubectl(self, *words: str, stdin: str = "") -> str:
        command = [str(program("kubectl")), f"--kubeconfig={self.kubeconfig}", *words]
        plain = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        done = subprocess.run(command, input=stdin, env=plain, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stop(self, part: str) -> None:
        """A part of the cluster, such as kserve-manager."""
        _cluster("stop", part)

    def again(self, part: str) -> None:
        _cluster("again", part)

    def apply(self, *objects: Json) -> None:
        self.kubectl("apply", "-f", "-", stdin="\n---\n".join(map(json.dumps, objects)))

    def patch(self, kind: str, namespace: str, name: str, patch: Json, *words: str) -> None:
        self.kubectl("patch", kind, "-n", namespace, name, "--type=merge", "-p", json.dumps(patch), *words)

    def get(self, kind: str, namespace: str, name: str) -> Json:
        """The object, or an empty dict."""
        text = self.kubectl("get", kind, "-n", namespace, name, "-o", "json", "--ignore-not-found")
        found: Json = json.loads(text or "{}")
        return found

    def list(self, kind: str, namespace: str, selector: str = "") -> list[Json]:
        found: list[Json] = json.loads(self.kubectl("get", kind, "-n", namespace, "-l", selector, "-o", "json"))[
            "items"
        ]
        return found

    def status(self, namespace: str, name: str) -> Json:
        found: Json = self.get("dialoguemodel", namespace, name).get("status", {})
        return found

    def condition(self, namespace: str, name: str, type_: str) -> tuple[str, str, str]:
        """Status, reason and message; empty texts before the operator has spoken."""
        for found in self.status(namespace, name).get("conditions", []):
            if found["type"] == type_:
                return found["status"], found["reason"], found.get("message", "")
        return "", "", ""

    def is_ready(self, namespace: str, name: str) -> bool:
        return self.condition(namespace, name, "Ready")[0] == "True"


def light_cluster() -> Iterator[Light]:
    """The one that is up, or one for this session alone; with our CRD."""
    if os.geteuid() != 0:
        pytest.skip("the local cluster needs root")
    known = record()
    if known and known.mode != LIGHT:
        pytest.skip("another kind of cluster is up")
    ours = not STATE.exists()
    _cluster("up", "--light")
    try:
        light = Light()
        light.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(crd()))
        light.kubectl("wait", "--for=condition=Established", "crd/" + crd()["metadata"]["name"], "--timeout=20s")
        yield light
    finally:
        if ours:
            _cluster("down")


def _cluster(*words: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    done = subprocess.run(
        [sys.executable, "-m", "cluster", *words], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
