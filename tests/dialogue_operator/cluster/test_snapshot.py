"""The snapshot answers as the API server would, and never writes."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest

from dialogue_operator import names
from dialogue_operator.cluster.client import KubeClient
from dialogue_operator.cluster.errors import NotFound
from dialogue_operator.cluster.hosts import Claim
from dialogue_operator.cluster.resources import (
    DEPLOYMENT,
    DIALOGUE_MODEL,
    HTTP_ROUTE,
    INFERENCE_SERVICE,
    POD,
    SCALED_OBJECT,
    Resource,
)
from dialogue_operator.cluster.snapshot import Snapshot, WriteWanted
from dialogue_operator.render.routes import GatewayRef

Json = dict[str, Any]
GATEWAY = GatewayRef("dialogue", "infra", "models.test")


def item(name: str, namespace: str = "team", version: str = "1", **labels: str) -> Json:
    meta = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "resourceVersion": version, "labels": labels}
    return {"metadata": {**meta, "managedFields": ["much"], "annotations": {}}, "spec": {}}


def ours(name: str, model: str, **labels: str) -> Json:
    managed = {names.LABEL_MANAGED_BY: names.FIELD_MANAGER, names.LABEL_MODEL: model}
    return item(name, **managed, **labels)


class Kept(KubeClient):
    """A client in front of these objects, two a page; what else it is asked for goes to `asked`."""

    def __init__(self, objects: Mapping[Resource, list[Json]]) -> None:
        self.objects = objects
        self.asked: Sequence[str] = []

    async def pages(
        self, resource: Resource, namespace: str = "", selector: Mapping[str, str] | None = None, fields: str = ""
    ) -> AsyncIterator[Sequence[Json]]:
        if resource is SCALED_OBJECT:
            raise NotFound("GET", 404, "no such API")
        found = [one for one in self.objects.get(resource, []) if namespace in ("", one["metadata"]["namespace"])]
        found = [one for one in found if (selector or {}).items() <= one["metadata"]["labels"].items()]
        for start in range(0, len(found), 2):
            yield json.loads(json.dumps(found[start : start + 2]))

    async def list(
        self, resource: Resource, namespace: str = "", selector: Mapping[str, str] | None = None, fields: str = ""
    ) -> list[Json]:
        self.asked = [*self.asked, f"LIST {resource.path(namespace)}"]
        return [one async for page in self.pages(resource, namespace) for one in page]

    async def _call(self, verb: str, path: str, *_: Any, **__: Any) -> Json:
        self.asked = [*self.asked, f"{verb} {path}"]
        return {}


@pytest.fixture
def live() -> Kept:
    models = [item(name, version=str(number)) for number, name in enumerate(("a", "b", "c"))]
    services = [ours("a-1", "a", rev="1"), ours("a-2", "a", rev="2"), ours("b-1", "b"), item("foreign")]
    return Kept({DIALOGUE_MODEL: models, INFERENCE_SERVICE: services, DEPLOYMENT: [item("other", "elsewhere")]})


def names_of(items: Sequence[Json]) -> list[str]:
    return [one["metadata"]["name"] for one in items]


async def test_it_finds_what_was_there(live: Kept) -> None:
    snapshot = await Snapshot.take(live, ())
    assert snapshot.models == (("team", "a"), ("team", "b"), ("team", "c"))
    assert (await snapshot.get(DIALOGUE_MODEL, "team", "b"))["metadata"]["resourceVersion"] == "1"
    assert await snapshot.find(DIALOGUE_MODEL, "team", "gone") is None
    selector = {names.LABEL_MANAGED_BY: names.FIELD_MANAGER, names.LABEL_MODEL: "a"}
    assert names_of(await snapshot.list(INFERENCE_SERVICE, "team", selector)) == ["a-1", "a-2"]
    assert names_of(await snapshot.list(INFERENCE_SERVICE, "team", {**selector, "rev": "2"})) == ["a-2"]
    assert await snapshot.list(INFERENCE_SERVICE, "elsewhere", selector) == []
    assert names_of(await snapshot.list(DIALOGUE_MODEL)) == ["a", "b", "c"]
    assert live.asked == []


async def test_what_nobody_reads_is_not_kept(live: Kept) -> None:
    snapshot = await Snapshot.take(live, ())
    assert "managedFields" not in (await snapshot.get(DIALOGUE_MODEL, "team", "a"))["metadata"]


async def test_only_watched_namespaces_are_read(live: Kept) -> None:
    assert (await Snapshot.take(live, ("elsewhere",))).models == ()


async def test_what_it_does_not_hold_is_asked_for(live: Kept) -> None:
    snapshot = await Snapshot.take(live, ())
    await snapshot.list(POD, "team", {"app": "x"})
    with pytest.raises(NotFound):
        await snapshot.list(SCALED_OBJECT, "team")  # this cluster has no such API
    assert [call.rpartition("/")[2] for call in live.asked] == ["pods", "scaledobjects"]


async def test_it_does_not_write(live: Kept) -> None:
    snapshot = await Snapshot.take(live, ())
    model = {**await snapshot.get(DIALOGUE_MODEL, "team", "a"), "kind": DIALOGUE_MODEL.kind}
    for write in (
        snapshot.create(model), snapshot.apply(model), snapshot.delete(model), snapshot.patch_status(model, {}),
        snapshot.create_event({"metadata": {"namespace": "team"}}), snapshot.patch_scale(DEPLOYMENT, "team", "d", 1),
    ):  # fmt: skip
        with pytest.raises(WriteWanted):
            await write
    assert live.asked == []


async def test_hosts_are_held_by_whoever_held_them_then(live: Kept) -> None:
    route = item("theirs")
    route["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    route["spec"] = {"parentRefs": [{"name": "dialogue", "namespace": "infra"}], "hostnames": ["a.team.models.test"]}
    live.objects = {HTTP_ROUTE: [route]}
    survey = (await Snapshot.take(live, ())).survey(GATEWAY, ())
    mine = Claim("2026-02-01T00:00:00Z", "team", "a", "HTTPRoute", "me")
    assert await survey.rival("me", {"a.team.models.test": mine}) == "HTTPRoute team/theirs"
    assert await survey.rival("me", {"b.team.models.test": mine}) == ""
