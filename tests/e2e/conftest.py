"""The demo as a fixture: `make demo` once for all e2e tests, `make demo-down` after them."""

import json
import os
import subprocess
from collections.abc import Iterator

import pytest
import yaml

from demo.place import gateway_address, use_local
from demo.shell import ROOT, kubectl, kubectl_json, wait_for
from demo.story import MODEL, NAMESPACE, place_on
from support.demo import Demo


@pytest.fixture(scope="session")
def demo() -> Iterator[Demo]:
    if os.geteuid() != 0:
        pytest.skip("needs root: the demo makes network namespaces")
    environment = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
    printed: list[str] = []
    command = subprocess.Popen(
        ["make", "demo"], cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    with command as process:
        assert process.stdout
        for line in process.stdout:  # passed on as it comes: a cold run takes long
            print(line, end="", flush=True)
            printed.append(line)
    assert process.returncode == 0, "".join(printed)[-3000:]
    use_local()
    yield Demo("".join(printed), place_on(gateway_address("kserve/dialogue")))
    subprocess.run(["make", "demo-down"], cwd=ROOT, env=environment, check=True)


@pytest.fixture
def upgraded(demo: Demo) -> Iterator[Demo]:
    """The demo's model as the good upgrade left it, and rolled out at once: nobody asks it anything, so no gate could
    answer. Put back afterwards, with nothing left of what a test patched in."""
    _put_back()
    yield demo
    _put_back()


def _put_back() -> None:
    spec = yaml.safe_load((ROOT / "manifests/samples/upgrade.yaml").read_text())["spec"]
    plain = {
        **spec,
        "model": {"digest": None, **spec["model"]},
        "generation": None,
        "rollout": None,
        "experiment": None,
    }
    kubectl("patch", "dm", MODEL, "-n", NAMESPACE, "--type=merge", "-p", json.dumps({"spec": plain}))

    def settled() -> bool:
        found = kubectl_json("get", "dm", MODEL, "-n", NAMESPACE)
        seen = found["status"]["observedGeneration"] == found["metadata"]["generation"]
        return bool(seen and found["status"]["phase"] == "Stable")

    wait_for("the model to be as the upgrade left it", settled, 180)
