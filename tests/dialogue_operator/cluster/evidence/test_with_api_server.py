"""Pods and ConfigMaps as a real API server keeps them."""

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from dialogue_operator import names
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.cluster.client import KubeClient
from dialogue_operator.cluster.credentials import configuration
from dialogue_operator.cluster.evidence.pods import PodPages
from dialogue_operator.cluster.golden import run_golden
from dialogue_operator.rollout.questions import Count
from support.apiserver import ApiServer
from support.objects import model
from support.prometheus import Page

REVISION = "aaaaaaaa"
pytestmark = pytest.mark.cluster


@pytest.fixture
async def client(api_server: ApiServer) -> AsyncIterator[KubeClient]:
    client = KubeClient(await configuration(api_server.kubeconfig))
    yield client
    await client.close()


@pytest.fixture
def served(api_server: ApiServer) -> DialogueModel:
    """A model in a namespace of its own, with one pod of its revision at 127.0.0.1 and one of another's."""
    found = replace(model(spec__preflight={"configMapName": "golden"}), namespace=f"evidence-{uuid.uuid4().hex[:8]}")
    api_server.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": found.namespace}})
    for name, owner in (("ours", found.name), ("theirs", "another")):
        labels = {names.LABEL_MODEL: owner, names.LABEL_REVISION: REVISION}
        spec = {"containers": [{"name": "c", "image": "example.test/c:1"}]}
        metadata = {"name": name, "namespace": found.namespace, "labels": labels}
        api_server.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    status = {
        "phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}], "startTime": "2026-01-01T00:00:00Z",
        "conditions": [{"type": "Ready", "status": "True"}],
    }  # fmt: skip
    patch = json.dumps({"status": status})
    api_server.kubectl(
        "patch", "pod", "ours", "-n", found.namespace, "--subresource=status", "--type=merge", "-p", patch
    )
    return found


async def test_the_pods_of_a_model_are_found_and_read(client: KubeClient, served: DialogueModel, serve: Any) -> None:
    page = Page()
    page.show(REVISION)
    source = PodPages(client, port=serve(page).port)
    for expected in (0, 5):
        found = await source.gather(served, Count({REVISION: REVISION}, datetime.now(UTC), 1, 1, ()))
        assert found.problem == ""
        assert found.tallies[REVISION].requests == expected
        page.request(REVISION, times=5)


async def test_golden_dialogues_are_read_from_a_config_map(
    api_server: ApiServer, client: KubeClient, served: DialogueModel, serve: Any
) -> None:
    web = serve(lambda *_: (200, json.dumps({"choices": [{"message": {"content": "Hello!"}}]})))

    async def run() -> str:
        return await run_golden(client, served, REVISION, REVISION, port=web.port)

    assert await run() == f"there is no ConfigMap golden in namespace {served.namespace}"
    entry = {"name": "a", "messages": [{"role": "user", "content": "Hi"}], "expect": {"contains": "hello"}}
    metadata = {"name": "golden", "namespace": served.namespace}
    data = {"dialogues.json": json.dumps([entry])}
    api_server.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    assert await run() == "Passed"
