"""A new operator among models at rest: it reads kinds, not models, writes nothing, and hears what comes."""

import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from support.kube import proxy_to
from support.light import Light
from support.objects import manifest
from support.operators import Operator, eventually, operator

pytestmark = pytest.mark.cluster

MODELS = 6


def looks(process: Operator) -> float:
    return process.metric('dialogue_operator_reconcile_total{result="ok"}')


def test_a_new_operator_reads_everything_once(light: Light, tmp_path: Path) -> None:
    namespace = f"rest-{uuid.uuid4().hex[:6]}"
    light.kubectl("create", "namespace", namespace)
    names = [f"m-{number}" for number in range(MODELS)]
    with proxy_to(light.kubeconfig, tmp_path) as proxy:
        config, told = proxy.kubeconfig(tmp_path), {"watch_namespaces": namespace}
        with operator(config, tmp_path, lease_name=f"{namespace}-1", **told) as process:
            eventually("it leads", lambda: process.leads)
            light.apply(*(manifest(name, namespace) for name in names))
            eventually("all serve", lambda: all(light.is_ready(namespace, name) for name in names), 60.0)
            eventually("all are at rest", still(process))
        proxy.writes.clear()
        proxy.reads.clear()
        with operator(config, tmp_path, lease_name=f"{namespace}-2", **told) as process:
            eventually("it has looked at each", lambda: looks(process) >= MODELS)
            eventually("its watches are there", lambda: proxy.watching >= 5)
            assert [path for path in proxy.reads if path.rpartition("/")[2] in names] == []
            assert any(path.endswith(f"{namespace}/dialoguemodels") for path in proxy.reads)
            light.patch("dialoguemodel", namespace, names[0], {"spec": {"scaling": {"minReplicas": 2}}})
            eventually("it hears", lambda: light.status(namespace, names[0])["replicas"] == 2)
            assert {write.path.split("/")[-2] for write in proxy.writes if "dialoguemodels" in write.path} == {names[0]}
    light.kubectl("delete", "namespace", namespace, "--wait=false")


def still(process: Operator, seconds: float = 2.0) -> Callable[[], bool]:
    """Whether nothing has been looked at for so long."""
    seen = [0.0, time.monotonic()]

    def holds() -> bool:
        if (now := looks(process)) != seen[0]:
            seen[:] = [now, time.monotonic()]
        return time.monotonic() - seen[1] > seconds

    return holds
