"""Operators as processes: who leads, how leadership moves on, and what they do in a cluster that is not as it should be."""

import json
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from dialogue_operator import names
from dialogue_operator.cluster.preflight import NEEDED
from support.apiserver import ApiServer
from support.kube import Proxy, proxy_to
from support.light import Light
from support.objects import manifest
from support.operators import LEASE_SECONDS, Operator, eventually, operator

pytestmark = pytest.mark.cluster

Json = dict[str, Any]
HAND_OVER_SECONDS = 5.0


@pytest.fixture
def lease() -> str:
    return f"leaders-{uuid.uuid4().hex[:6]}"


@pytest.fixture
def name() -> str:
    return f"m-{uuid.uuid4().hex[:6]}"


@contextmanager
def pair(light: Light, folder: Path, lease: str) -> Iterator[tuple[Operator, Operator]]:
    """A leader and a standby that is ready."""
    with operator(light.kubeconfig, folder, lease_name=lease) as first:
        eventually("the first leads", lambda: first.leads)
        with operator(light.kubeconfig, folder, lease_name=lease) as second:
            eventually("the second is ready", lambda: second.ask("/readyz")[0] == 200)
            assert not second.leads
            yield first, second


def test_a_leader_that_is_told_to_stop_hands_over_within_seconds(
    light: Light, namespace: str, name: str, tmp_path: Path, lease: str
) -> None:
    with pair(light, tmp_path, lease) as (first, second):
        began = time.monotonic()
        first.process.send_signal(signal.SIGTERM)
        eventually("the second leads", lambda: second.leads)
        handed = time.monotonic() - began
        assert first.process.wait(timeout=10) == 0
        assert max(handed, time.monotonic() - began) < HAND_OVER_SECONDS
        light.apply(manifest(name, namespace))
        eventually("the second works", lambda: light.is_ready(namespace, name))


def test_a_leader_that_was_killed_is_followed_when_its_lease_has_run_out(
    light: Light, tmp_path: Path, lease: str
) -> None:
    with pair(light, tmp_path, lease) as (first, second):
        first.kill()
        assert eventually("the second leads", lambda: second.leads) < 2 * LEASE_SECONDS


def test_a_leader_that_slept_ends_when_it_wakes(light: Light, tmp_path: Path, lease: str) -> None:
    with pair(light, tmp_path, lease) as (first, second):
        first.process.send_signal(signal.SIGSTOP)
        eventually("the second leads", lambda: second.leads)
        first.process.send_signal(signal.SIGCONT)
        assert first.process.wait(timeout=10) == 70
        assert "leadership lost" in first.logs()


def test_of_two_leaders_by_force_the_first_writes_nothing_after_the_second(
    light: Light, namespace: str, name: str, tmp_path: Path, lease: str
) -> None:
    """The first is stopped in the middle of its work, well beyond its Lease, and wakes while the second works."""
    with ExitStack() as stack:
        folders = [tmp_path / "first", tmp_path / "second"]
        for folder in folders:
            folder.mkdir()
        proxies = [stack.enter_context(proxy_to(light.kubeconfig, folder)) for folder in folders]
        configs = [proxy.kubeconfig(folder) for proxy, folder in zip(proxies, folders, strict=True)]
        first = stack.enter_context(operator(configs[0], folders[0], lease_name=lease, watch_namespaces=namespace))
        eventually("the first leads", lambda: first.leads)
        models = [f"{name}-{number}" for number in range(4)]
        for model in models:
            light.apply(manifest(model, namespace, spec__rollout__drain="1s"))
        eventually("all serve", lambda: all(light.is_ready(namespace, model) for model in models))
        second = stack.enter_context(operator(configs[1], folders[1], lease_name=lease, watch_namespaces=namespace))
        eventually("the second is ready", lambda: second.ask("/readyz")[0] == 200)
        proxies[0].done.clear()
        for number, model in enumerate(models):
            light.patch("dialoguemodel", namespace, model, {"spec": {"model": {"version": f"2.{number}.0"}}})
        eventually("the first is at work", lambda: proxies[0].done)
        first.process.send_signal(signal.SIGSTOP)
        eventually("the second is at work", lambda: proxies[1].done)
        first.process.send_signal(signal.SIGCONT)
        assert first.process.wait(timeout=10) == 70
        eventually("the second ends it", lambda: all(_serves(light, namespace, model, "2.") for model in models), 60.0)
        mine, theirs = ([write.version for write in proxy.done if write.version] for proxy in proxies)
        assert max(mine) < min(theirs)
        assert len(theirs) >= len(models)
        for model in models:
            light.kubectl("delete", "dialoguemodel", "-n", namespace, model)


def _serves(light: Light, namespace: str, name: str, version: str) -> bool:
    status = light.status(namespace, name)
    return str(status.get("stableVersion")).startswith(version) and not status.get("candidateRevision")


@pytest.mark.parametrize("how", ["refuse", "hang"])
def test_a_leader_cut_off_from_the_api_ends(proxy: Proxy, tmp_path: Path, lease: str, how: str) -> None:
    with operator(proxy.kubeconfig(tmp_path), tmp_path, lease_name=lease) as process:
        eventually("it leads", lambda: process.leads)
        try:
            proxy.broken = "refuse" if how == "refuse" else "hang"
            assert process.process.wait(timeout=3 * LEASE_SECONDS) == 70
        finally:
            proxy.broken = ""


def test_a_standby_that_is_told_to_stop_ends_at_once(light: Light, tmp_path: Path, lease: str) -> None:
    with pair(light, tmp_path, lease) as (_, second):
        began = time.monotonic()
        assert second.stop() == 0
        assert time.monotonic() - began < HAND_OVER_SECONDS


def test_a_cluster_without_our_apis_is_waited_for(api_server: ApiServer, tmp_path: Path, lease: str) -> None:
    with operator(api_server.kubeconfig, tmp_path, lease_name=lease) as process:
        eventually("it says what is missing", lambda: "not served" in process.ask("/readyz")[1])
        status, text = process.ask("/readyz")
        assert status == 503
        assert "inferenceservices.serving.kserve.io/v1beta1" in text
        assert "httproutes.gateway.networking.k8s.io/v1" in text
        assert process.ask("/livez")[0] == 200
        assert process.stop() == 0
        assert "Traceback" not in process.logs()


def test_an_operator_without_credentials_says_so_in_one_line(tmp_path: Path, lease: str) -> None:
    with operator(tmp_path / "no-such-file", tmp_path, lease_name=lease) as process:
        assert process.process.wait(timeout=20) == 1
        assert "no-such-file" in process.logs()
        assert "Traceback" not in process.logs()


def test_a_cluster_whose_api_is_down_at_start_is_waited_for(light: Light, tmp_path: Path, lease: str) -> None:
    with proxy_to(light.kubeconfig, tmp_path) as proxy:
        proxy.broken = "refuse"
        with operator(proxy.kubeconfig(tmp_path), tmp_path, lease_name=lease) as process:
            eventually("it lives", lambda: process.ask("/livez")[0] == 200)
            assert process.ask("/readyz")[0] == 503
            proxy.broken = ""
            eventually("it leads", lambda: process.leads)


def test_the_permissions_that_the_preflight_asks_for_are_enough_and_one_that_is_taken_away_is_named(
    light: Light, namespace: str, name: str, tmp_path: Path, lease: str
) -> None:
    config = _account(light, namespace, name, tmp_path)
    _grant(light, namespace, name, lease)
    with operator(config, tmp_path, lease_name=lease, lease_namespace=namespace) as process:
        eventually("it leads", lambda: process.leads)
        light.apply(manifest(name, namespace, spec__rollout__drain="1s"))
        eventually("it serves", lambda: light.is_ready(namespace, name))
        _grant(light, namespace, name, lease, without=("inferenceservices", "create"))
        light.patch("dialoguemodel", namespace, name, {"spec": {"model": {"version": "2.0.0"}}})
        eventually("it says so", lambda: light.condition(namespace, name, "Progressing")[1] == "Forbidden")
        assert "cannot create resource" in light.condition(namespace, name, "Progressing")[2]
        assert light.is_ready(namespace, name)
        _grant(light, namespace, name, lease)
        eventually("it goes on", lambda: light.status(namespace, name).get("stableVersion") == "2.0.0")
        eventually("nothing remains to be said", lambda: light.condition(namespace, name, "Progressing")[0] == "True")
        assert "Traceback" not in process.logs()
    with operator(config, tmp_path, lease_name=lease, lease_namespace=namespace) as process:
        _grant(light, namespace, name, lease, without=("inferenceservices", "create"))
        eventually("it waits", lambda: "not permitted: create inferenceservices" in process.ask("/readyz")[1])


def _account(light: Light, namespace: str, name: str, folder: Path) -> Path:
    """A kubeconfig that speaks for a ServiceAccount without permissions."""
    light.kubectl("create", "serviceaccount", name, "-n", namespace)
    token = light.kubectl("create", "token", name, "-n", namespace).strip()
    server = json.loads(light.kubectl("config", "view", "-o", "json"))["clusters"][0]["cluster"]["server"]
    cluster = {"name": "c", "cluster": {"server": server, "insecure-skip-tls-verify": True}}
    user = {"name": "u", "user": {"token": token}}
    context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
    lists = {"clusters": [cluster], "users": [user], "contexts": [context]}
    path = folder / "account"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "x", **lists}))
    return path


def _grant(light: Light, namespace: str, name: str, lease: str, without: tuple[str, str] = ("", "")) -> None:
    """Exactly what the preflight asks for, less one verb; leases in the operator's own namespace."""
    rules = [
        {"apiGroups": [group], "resources": [resource], "verbs": [v for v in verbs if (resource, v) != without]}
        for group, resource, verbs in NEEDED
    ]
    rules.append({"apiGroups": [names.GROUP], "resources": [f"{names.PLURAL}/finalizers"], "verbs": ["update"]})
    leases = [
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
        {
            "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [lease],
            "verbs": ["get", "update"],
        },
    ]  # fmt: skip
    rbac = "rbac.authorization.k8s.io"
    subjects = [{"kind": "ServiceAccount", "name": name, "namespace": namespace}]
    for kind, place, given in (("ClusterRole", {}, rules), ("Role", {"namespace": namespace}, leases)):
        meta = {"name": f"{namespace}-{name}", **place}
        binding = {
            "apiVersion": f"{rbac}/v1", "kind": f"{kind}Binding", "metadata": meta,
            "roleRef": {"apiGroup": rbac, "kind": kind, "name": meta["name"]}, "subjects": subjects,
        }  # fmt: skip
        light.apply({"apiVersion": f"{rbac}/v1", "kind": kind, "metadata": meta, "rules": given}, binding)
