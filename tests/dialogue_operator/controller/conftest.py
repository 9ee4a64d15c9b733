"""The light cluster with an operator behind a proxy, as its tests here share them."""

import uuid
from collections.abc import Iterator

import pytest

from support.kube import Proxy, proxy_to
from support.light import Light, light_cluster
from support.operators import Operator, eventually, operator

light = pytest.fixture(scope="session")(light_cluster)

RESYNC_SECONDS = 0.5


@pytest.fixture(scope="module")
def proxy(light: Light, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxy_to(light.kubeconfig, tmp_path_factory.mktemp("proxy")) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def namespace(light: Light) -> Iterator[str]:
    name = f"team-{uuid.uuid4().hex[:6]}"
    light.kubectl("create", "namespace", name)
    yield name
    light.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def running(proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """One operator for all tests of a module that do not harm it."""
    folder = tmp_path_factory.mktemp("operator")
    lease = f"operator-{uuid.uuid4().hex[:6]}"
    with operator(proxy.kubeconfig(folder), folder, lease_name=lease, resync_seconds=str(RESYNC_SECONDS)) as process:
        eventually("it leads", lambda: process.leads)
        yield process
