"""kill -9 of the real process at a handful of an upgrade's writes. The end is always the same.

The proxy sees the n-th write and kills the operator there; a new one takes over. What is compared is everything but
names, times and uids. `test_crash_points` has many more points, without processes.
"""

import json
import re
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dialogue_operator import names
from support.kube import Moment, Proxy, Trap
from support.light import Light
from support.objects import manifest
from support.operators import Operator, eventually, operator
from support.stories import CLAIM, claim

pytestmark = pytest.mark.cluster

Json = dict[str, Any]
WRITES = 12  # of one upgrade: 8 that act, and 4 of the status; more where it sees the gateway at work
POINTS: list[tuple[int, Moment]] = [
    (1, "before"),
    (2, "unheard"),
    (3, "after"),
    (5, "unheard"),
    (8, "before"),
    (11, "after"),
]
PATIENCE = 90.0  # a young cluster's garbage collector looks every half a minute for kinds that it does not know


class Crew:
    """One operator after another: when the one at work is dead, the next is started."""

    def __init__(self, proxy: Proxy, folder: Path, stack: ExitStack) -> None:
        self._proxy, self._folder, self._stack = proxy, folder, stack
        self._at_work: Operator | None = None

    def at_work(self) -> Operator:
        if self._at_work is None or self._at_work.process.poll() is not None:
            lease = f"crew-{uuid.uuid4().hex[:6]}"  # its own: how leaders follow each other is another test's affair
            config = self._proxy.kubeconfig(self._folder)
            self._at_work = started = self._stack.enter_context(
                operator(config, self._folder, lease_name=lease, lease_seconds="15")
            )
            eventually("the operator leads", lambda: started.leads)
        return self._at_work


@pytest.fixture(scope="module")
def crew(proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    with ExitStack() as stack:
        yield Crew(proxy, tmp_path_factory.mktemp("crew"), stack)


@pytest.fixture(scope="module")
def calm(light: Light, namespace: str, crew: Crew, proxy: Proxy) -> Json:
    """The end of an upgrade without a crash."""
    crew.at_work()
    light.apply(claim(namespace))
    serve(light, namespace, "calm")
    proxy.arm(None)
    proxy.done.clear()
    upgrade(light, namespace, "calm")
    eventually("the upgrade is over", lambda: _is_over(light, namespace, "calm"), PATIENCE)
    return canonical(light, namespace, "calm")


def test_an_upgrade_without_a_crash_is_known_write_by_write(calm: Json, proxy: Proxy) -> None:
    acts = [(write.verb, write.path.split("/")[6]) for write in proxy.done if not write.path.endswith("/status")]
    assert acts[:2] == [("POST", "servingruntimes"), ("POST", "inferenceservices")]
    assert acts[-2:] == [("DELETE", "inferenceservices"), ("DELETE", "servingruntimes")]
    # To the new revision, then without the old one; said again where the gateway wrote its status at the same time.
    routes = acts[2:-2]
    assert routes[:2] == [("PATCH", "httproutes"), ("PATCH", "grpcroutes")]
    assert all(2 <= routes.count(each) <= 6 for each in routes[:2])
    assert set(routes) == set(routes[:2])
    assert proxy.writes[0].path.endswith("/status")
    assert len(proxy.writes) >= WRITES
    assert calm["status"]["stableVersion"] == "2.0.0"
    assert calm["status"]["rollout"]["id"] == 2
    assert len(calm["InferenceService"]) == len(calm["ServingRuntime"]) == len(calm["Deployment"]) == 1


@pytest.mark.usefixtures("calm")
@pytest.mark.parametrize(("number", "moment"), POINTS, ids=[f"{moment} write {number}" for number, moment in POINTS])
def test_a_crash_changes_nothing_of_the_end(
    light: Light, namespace: str, crew: Crew, proxy: Proxy, calm: Json, number: int, moment: Moment
) -> None:
    name, process = f"crash-{number}-{moment}", crew.at_work()
    serve(light, namespace, name)
    proxy.arm(Trap(number, moment, process.kill))
    upgrade(light, namespace, name)
    eventually("the operator is dead", lambda: process.process.poll() is not None, PATIENCE)
    assert len(proxy.writes) >= number  # after an answer, one more may be on its way before the signal lands
    proxy.arm(None)
    crew.at_work()
    eventually("the upgrade is over", lambda: _is_over(light, namespace, name), PATIENCE)
    assert canonical(light, namespace, name) == calm
    light.kubectl("delete", "dialoguemodel", "-n", namespace, name)


def serve(light: Light, namespace: str, name: str) -> None:
    light.apply(_version_1(name, namespace))
    eventually(f"{name} serves", lambda: _serves(light, namespace, name, "1.0.0"), PATIENCE)


def upgrade(light: Light, namespace: str, name: str) -> None:
    light.patch("dialoguemodel", namespace, name, {"spec": {"model": {"uri": f"pvc://{CLAIM}/v2", "version": "2.0.0"}}})


def canonical(light: Light, namespace: str, name: str) -> Json:
    """All that belongs to it, without what may differ between two runs."""
    found: Json = {"status": light.status(namespace, name)}
    for kind in ("InferenceService", "ServingRuntime", "Deployment", "HTTPRoute", "GRPCRoute"):
        items = light.list(kind, namespace, f"{names.LABEL_MODEL}={name}")
        found[kind] = [{"labels": item["metadata"]["labels"], "spec": item["spec"]} for item in items]
    text = json.dumps(found, sort_keys=True).replace(name, "NAME")
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    canonical: Json = json.loads(text)
    return canonical


def _version_1(name: str, namespace: str) -> Json:
    spec = {"spec__model__uri": f"pvc://{CLAIM}/v1", "spec__rollout__drain": "1s"}
    return manifest(name, namespace, **spec)


def _serves(light: Light, namespace: str, name: str, version: str) -> bool:
    status = light.status(namespace, name)
    return status.get("stableVersion") == version and status["phase"] == "Stable"


def _is_over(light: Light, namespace: str, name: str) -> bool:
    """Version 2 serves, nothing of version 1 is left, and status and pods have come to rest."""
    if not _serves(light, namespace, name, "2.0.0") or not light.is_ready(namespace, name):
        return False
    kinds = ("inferenceservice", "servingruntime", "deployment")
    return all(len(light.list(kind, namespace, f"{names.LABEL_MODEL}={name}")) == 1 for kind in kinds)
