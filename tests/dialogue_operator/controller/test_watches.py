"""Watches that break, and a KServe that is not there: events may be lost, changes may not."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dialogue_operator.controller.run import DOORBELLS_LOST
from support.kube import Proxy, proxy_to
from support.light import Light
from support.objects import manifest
from support.operators import Operator, eventually, operator

pytestmark = pytest.mark.cluster

SELDOM = "300"  # seconds between resyncs: only events bring news
KSERVE = "kserve-manager"


@pytest.fixture
def name() -> str:
    return f"m-{uuid.uuid4().hex[:6]}"


@contextmanager
def watching(light: Light, namespace: str, folder: Path, resync: str = SELDOM) -> Iterator[tuple[Operator, Proxy]]:
    lease = f"watches-{uuid.uuid4().hex[:6]}"
    with (
        proxy_to(light.kubeconfig, folder) as proxy,
        operator(
            proxy.kubeconfig(folder), folder, lease_name=lease, watch_namespaces=namespace, resync_seconds=resync
        ) as process,
    ):
        eventually("it leads", lambda: process.leads)
        yield process, proxy


def serve(light: Light, namespace: str, name: str) -> None:
    light.apply(manifest(name, namespace, spec__rollout__drain="1s"))
    eventually("it serves", lambda: light.is_ready(namespace, name))


def upgrade(light: Light, namespace: str, name: str) -> None:
    light.patch("dialoguemodel", namespace, name, {"spec": {"model": {"version": "2.0.0"}}})
    eventually("version 2", lambda: light.status(namespace, name).get("stableVersion") == "2.0.0", 60.0)


def test_a_history_that_is_gone_is_read_anew(light: Light, namespace: str, name: str, tmp_path: Path) -> None:
    with watching(light, namespace, tmp_path) as (process, proxy):
        serve(light, namespace, name)
        proxy.spoil_watches("gone")
        light.patch("dialoguemodel", namespace, name, {"spec": {"model": {"version": "1.5.0"}}})
        eventually("the watch has ended", lambda: proxy.spoilt >= 5)  # one for each kind
        proxy.spoil_watches("")
        upgrade(light, namespace, name)
        assert process.process.poll() is None
    light.kubectl("delete", "dialoguemodel", "-n", namespace, name)


def test_where_watches_are_silent_the_resync_finds_out(light: Light, namespace: str, name: str, tmp_path: Path) -> None:
    with watching(light, namespace, tmp_path, resync="1") as (process, proxy):
        serve(light, namespace, name)
        proxy.spoil_watches("stall")
        upgrade(light, namespace, name)
        assert process.process.poll() is None
    light.kubectl("delete", "dialoguemodel", "-n", namespace, name)


def test_a_watch_that_cannot_go_on_ends_the_process_and_the_next_one_takes_over(
    light: Light, namespace: str, name: str, tmp_path: Path
) -> None:
    with watching(light, namespace, tmp_path) as (process, proxy):
        serve(light, namespace, name)
        proxy.spoil_watches("error")
        assert process.process.wait(timeout=30) == DOORBELLS_LOST
        assert "Traceback" not in process.logs()
    with watching(light, namespace, tmp_path):
        upgrade(light, namespace, name)
    light.kubectl("delete", "dialoguemodel", "-n", namespace, name)


def test_a_rollout_waits_for_a_kserve_that_is_down(light: Light, namespace: str, name: str, tmp_path: Path) -> None:
    with watching(light, namespace, tmp_path) as (process, _):
        serve(light, namespace, name)
        light.stop(KSERVE)
        try:
            light.patch("dialoguemodel", namespace, name, {"spec": {"model": {"version": "2.0.0"}}})
            eventually("it is begun", lambda: light.status(namespace, name).get("candidateRevision"))
            assert light.is_ready(namespace, name)
        finally:
            light.again(KSERVE)
        eventually("version 2", lambda: light.status(namespace, name).get("stableVersion") == "2.0.0", 60.0)
        assert process.process.poll() is None
    light.kubectl("delete", "dialoguemodel", "-n", namespace, name)
