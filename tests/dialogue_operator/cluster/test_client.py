"""The client against a real API server, directly and behind a proxy that breaks."""

import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from dialogue_operator.cluster.client import KubeClient, Limits
from dialogue_operator.cluster.credentials import configuration, credentials
from dialogue_operator.cluster.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound, Unavailable
from dialogue_operator.cluster.preflight import missing_apis, missing_permissions
from dialogue_operator.cluster.rate import TokenBucket
from dialogue_operator.cluster.resources import DEPLOYMENT, HTTP_ROUTE, LEASE
from support.apiserver import ApiServer
from support.kube import Proxy, proxy_to

Json = dict[str, Any]
QUICK = Limits(connect=0.5, total=0.5, retry=1.5)


@pytest.fixture
def proxy(api_server: ApiServer, tmp_path: Path) -> Iterator[Proxy]:
    with proxy_to(api_server.kubeconfig, tmp_path) as proxy:
        yield proxy


@pytest.fixture
async def client(proxy: Proxy, tmp_path: Path) -> AsyncIterator[KubeClient]:
    client = KubeClient(await configuration(proxy.kubeconfig(tmp_path)), QUICK)
    yield client
    await client.close()


@pytest.fixture
def name() -> str:
    return f"client-{uuid.uuid4().hex[:8]}"


def lease(name: str, holder: str = "", **labels: str) -> Json:
    return {
        "apiVersion": LEASE.api_version, "kind": LEASE.kind,
        "metadata": {"name": name, "namespace": "default", "labels": labels}, "spec": {"holderIdentity": holder},
    }  # fmt: skip


def deployment(name: str) -> Json:
    labels = {"app": name}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "example.test/c:1"}]}}
    return {
        "apiVersion": DEPLOYMENT.api_version, "kind": DEPLOYMENT.kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"matchLabels": labels}, "template": pod},
    }  # fmt: skip


@pytest.mark.cluster
async def test_an_object_lives_from_create_to_delete(client: KubeClient, name: str) -> None:
    assert await client.find(LEASE, "default", name) is None
    made = await client.create(lease(name, "a"))
    with pytest.raises(AlreadyExists):
        await client.create(lease(name, "b"))
    replaced = await client.replace({**made, "spec": {"holderIdentity": "c"}})
    with pytest.raises(Conflict):
        await client.replace({**made, "spec": {"holderIdentity": "d"}})
    assert (await client.get(LEASE, "default", name))["spec"]["holderIdentity"] == "c"
    with pytest.raises(Conflict):
        await client.delete({**replaced, "metadata": {**replaced["metadata"], "uid": str(uuid.uuid4())}})
    await client.delete(replaced)
    await client.delete(replaced)  # gone already is fine
    with pytest.raises(NotFound):
        await client.get(LEASE, "default", name)


@pytest.mark.cluster
async def test_apply_owns_its_fields_and_leaves_those_of_others(client: KubeClient, name: str) -> None:
    await client.apply(lease(name, "ours", ours="1"))
    found = await client.get(LEASE, "default", name)
    found["metadata"]["labels"]["theirs"] = "1"
    await client.replace(found)
    again = await client.apply(lease(name, "ours", ours="2"))
    assert again["metadata"]["labels"] == {"ours": "2", "theirs": "1"}
    stale = {**lease(name, "stale"), "metadata": {"name": name, "namespace": "default", "resourceVersion": "1"}}
    with pytest.raises(Conflict):
        await client.apply(stale)


@pytest.mark.cluster
async def test_a_deployment_is_sized_through_its_scale(client: KubeClient, name: str) -> None:
    await client.create(deployment(name))
    await client.patch_scale(DEPLOYMENT, "default", name, 3)
    assert (await client.get(DEPLOYMENT, "default", name))["spec"]["replicas"] == 3


@pytest.mark.cluster
async def test_lists_are_read_page_by_page(client: KubeClient, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dialogue_operator.cluster.client.PAGE", 2)
    for number in range(5):
        await client.create(lease(f"{name}-{number}", test=name))
    found = await client.list(LEASE, "default", {"test": name})
    assert len(found) == 5
    assert len(await client.list(LEASE, selector={"test": name})) == 5
    assert await client.list(LEASE, "default", {"test": "nobody"}) == []


@pytest.mark.cluster
async def test_what_the_server_refuses_is_told_apart(client: KubeClient, name: str) -> None:
    with pytest.raises(Invalid, match="greater than"):
        await client.create({**lease(name), "spec": {"leaseDurationSeconds": -1}})
    with pytest.raises(NotFound):
        await client.list(HTTP_ROUTE)
    assert await missing_apis(client) != []


@pytest.mark.cluster
async def test_an_admin_lacks_no_permission_and_a_stranger_nearly_all(
    api_server: ApiServer, client: KubeClient, tmp_path: Path, name: str
) -> None:
    assert await missing_permissions(client, ()) == []
    api_server.kubectl("create", "serviceaccount", name)
    token = api_server.kubectl("create", "token", name).strip()
    api_server.kubectl("create", "role", name, "--verb=list", "--resource=pods")
    api_server.kubectl("create", "rolebinding", name, f"--role={name}", f"--serviceaccount=default:{name}")
    config = tmp_path / "stranger"
    text = api_server.kubeconfig.read_text()
    config.write_text(text.replace("admin-of-a-test-session", token))
    stranger = KubeClient(await configuration(config), QUICK)
    missing = await missing_permissions(stranger, ())
    with pytest.raises(Forbidden, match="cannot list resource"):
        await stranger.list(LEASE, "default")
    await stranger.close()
    assert "list pods" not in missing
    assert {"create events", "patch dialoguemodels/status.serving.dialogue.dev", "patch deployments/scale.apps"} <= {
        *missing
    }


@pytest.mark.cluster
@pytest.mark.parametrize("status", [429, 500, 503])
async def test_an_unwell_server_is_asked_again(client: KubeClient, proxy: Proxy, name: str, status: int) -> None:
    asked = 0

    def first_two(verb: str, path: str) -> bool:
        nonlocal asked
        asked += 1
        return asked <= 2

    proxy.status, proxy.breaks = status, first_two
    assert await client.find(LEASE, "default", name) is None
    assert asked == 3


@pytest.mark.cluster
async def test_a_server_says_when_to_come_again(client: KubeClient, proxy: Proxy, name: str) -> None:
    seen: list[float] = []

    def first(verb: str, path: str) -> bool:
        seen.append(time.monotonic())
        return len(seen) == 1

    proxy.status, proxy.retry_after, proxy.breaks = 429, "1", first
    await client.find(LEASE, "default", name)
    assert seen[1] - seen[0] >= 1.0


@pytest.mark.cluster
@pytest.mark.parametrize("how", ["refuse", "hang"])
async def test_a_call_ends_within_its_budget_whatever_the_server_does(
    client: KubeClient, proxy: Proxy, name: str, how: str
) -> None:
    proxy.broken = "refuse" if how == "refuse" else "hang"
    began = time.monotonic()
    with pytest.raises(Unavailable, match="GET /apis/coordination"):
        await client.get(LEASE, "default", name)
    assert time.monotonic() - began < QUICK.retry + QUICK.total + 0.5


@pytest.mark.cluster
async def test_a_write_that_is_not_allowed_any_more_is_not_sent(proxy: Proxy, tmp_path: Path, name: str) -> None:
    def refuse() -> None:
        raise Unavailable("write", 0, "not leading")

    client = KubeClient(await configuration(proxy.kubeconfig(tmp_path)), QUICK, before_write=refuse)
    with pytest.raises(Unavailable, match="not leading"):
        await client.create(lease(name))
    assert await client.find(LEASE, "default", name) is None
    await client.close()


@pytest.mark.cluster
async def test_kopf_gets_the_same_credentials(api_server: ApiServer) -> None:
    found = await credentials(api_server.kubeconfig)
    assert (found.server, found.token, found.insecure) == (api_server.url, "admin-of-a-test-session", True)


async def test_calls_beyond_the_burst_wait_for_their_turn() -> None:
    now, waits = [0.0], []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    bucket = TokenBucket(10, 2, lambda: now[0], sleep)
    for _ in range(4):
        await bucket.take()
    assert waits == pytest.approx([0.1, 0.2])
    now[0] = 60.0
    await bucket.take()
    assert len(waits) == 2
