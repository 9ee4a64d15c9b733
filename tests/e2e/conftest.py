"""The demo as a fixture: `make demo` once for all e2e tests, `make demo-down` after them."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from demo.place import use_local
from demo.shell import ROOT, kubectl, kubectl_json
from demo.story import MODEL, NAMESPACE
from demo.talk import Place
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
    address = kubectl_json("get", "gateway", "dialogue", "-n", "kserve")["status"]["addresses"][0]["value"]
    host = f"{NAMESPACE}.example.com"
    yield Demo("".join(printed), Place(f"{address}:80", MODEL, f"{MODEL}.{host}", f"{MODEL}-grpc.{host}"))
    subprocess.run(["make", "demo-down"], cwd=ROOT, env=environment, check=True)


@pytest.fixture
def upgraded(demo: Demo) -> Iterator[Demo]:
    """The demo's model as the upgrade left it; put back afterwards."""
    yield demo
    kubectl("apply", "-n", NAMESPACE, "-f", "manifests/samples/upgrade.yaml")
    kubectl("wait", "-n", NAMESPACE, "--for=jsonpath={.status.phase}=Stable", f"dm/{MODEL}", "--timeout=180s")
