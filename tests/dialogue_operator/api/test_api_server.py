"""The CRD on a real kube-apiserver: what it refuses, and how kubectl shows what it takes."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from dialogue_operator import names
from dialogue_operator.api.crd import crd
from dialogue_operator.api.spec import DialogueModelSpec
from dialogue_operator.api.status import DialogueModelStatus, GateVerdict
from support.apiserver import ApiServer, CommandFailed
from support.objects import ABSENT, changed, manifest
from support.samples import dialogue_models, documents
from support.world import World, serving

pytestmark = pytest.mark.cluster
CRD = f"{names.PLURAL}.{names.GROUP}"


@pytest.fixture
def concierge(api: ApiServer) -> Iterator[World]:
    """A DialogueModel that serves, with its status on the API server."""
    world = serving(spec__scaling__minReplicas=2)
    api.apply(manifest(**world.spec))
    _write_status(api, world)
    yield world
    api.kubectl("delete", "dm", "concierge", "-n", "assistants")


def _write_status(api: ApiServer, world: World) -> None:
    patch = json.dumps({"status": world.status.to_json()})
    api.kubectl("patch", "dm", "concierge", "-n", "assistants", "--subresource=status", "--type=merge", "-p", patch)


def test_the_crd_is_established_and_its_schema_structural(api: ApiServer) -> None:
    found = json.loads(api.kubectl("get", "crd", CRD, "-o", "json"))
    conditions = {one["type"]: one["status"] for one in found["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert conditions.get("NonStructuralSchema", "False") == "False"


def test_applying_the_crd_again_changes_nothing(api: ApiServer) -> None:
    assert "unchanged" in api.apply(crd())


def test_the_smallest_model_gets_the_defaults(api: ApiServer) -> None:
    api.apply(manifest("smallest", spec__model={"uri": "builtin://default"}))
    spec = json.loads(api.kubectl("get", "dm", "smallest", "-n", "assistants", "-o", "json"))["spec"]
    assert spec["generation"] == {"numBeams": 4, "maxNewTokens": 48, "lengthPenalty": 1, "noRepeatNgram": 3}
    assert spec["runtime"]["resources"] == {"cpu": "1", "memory": "2Gi"}
    assert spec == DialogueModelSpec.model_validate({"model": {"uri": "builtin://default"}}).to_json()


def test_every_sample_is_taken(api: ApiServer) -> None:
    for path in dialogue_models():
        for document in documents(path):
            api.kubectl("create", "--dry-run=server", "-n", "assistants", "-f", "-", stdin=json.dumps(document))


BAD: list[tuple[str, Any, str]] = [
    ("spec", ABSENT, "spec: Required value"),
    ("spec.model", ABSENT, "spec.model: Required value"),
    ("spec.model.uri", ABSENT, "spec.model.uri: Required value"),
    ("spec.model.uri", "", "spec.model.uri: Invalid value"),
    ("spec.model.uri", "http://example.com/model", "spec.model.uri: Invalid value"),
    ("spec.model.uri", "file:///etc/passwd", "spec.model.uri: Invalid value"),
    ("spec.model.uri", "s3://bucket/model", "spec.model.uri: Invalid value"),
    ("spec.model.uri", "pvc://models", "spec.model.uri: Invalid value"),
    ("spec.model.uri", "pvc://models/../other", "spec.model.uri: Invalid value"),
    ("spec.model.uri", "pvc://models/a//b", "spec.model.uri: Invalid value"),
    ("spec.model.uri", "builtin://default/..", "spec.model.uri: Invalid value"),
    ("spec.model.uri", "pvc://models/" + "a" * 512, "spec.model.uri: Too long"),
    ("spec.model.uri", 7, "spec.model.uri: Invalid value"),
    ("spec.model.version", "v" * 64, "spec.model.version: Too long"),
    ("spec.model.version", "1 0", "spec.model.version: Invalid value"),
    ("spec.model.digest", "md5:abc", "spec.model.digest: Invalid value"),
    ("spec.model.digest", "sha256:" + "g" * 64, "spec.model.digest: Invalid value"),
    ("spec.model.storage", {"secretName": "x"}, 'unknown field "spec.model.storage"'),
    ("spec.runtime.precision", "int4", "spec.runtime.precision: Unsupported value"),
    ("spec.runtime.image", "-rm", "spec.runtime.image: Invalid value"),
    ("spec.runtime.image", "a b", "spec.runtime.image: Invalid value"),
    ("spec.runtime.resources.cpu", "9m", "spec.runtime.resources.cpu: Invalid value.*must be at least 10m"),
    ("spec.runtime.resources.cpu", "-1", "spec.runtime.resources.cpu: Invalid value"),
    ("spec.runtime.resources.memory", "255Mi", "spec.runtime.resources.memory: Invalid value.*must be at least 256Mi"),
    ("spec.runtime.resources.memory", "1e9", "spec.runtime.resources.memory: Invalid value"),
    ("spec.runtime.resources.gpu", 1, 'unknown field "spec.runtime.resources.gpu"'),
    ("spec.generation.numBeams", 0, "spec.generation.numBeams: Invalid value"),
    ("spec.generation.numBeams", 17, "spec.generation.numBeams: Invalid value"),
    ("spec.generation.numBeams", "4", "spec.generation.numBeams: Invalid value"),
    ("spec.generation.numBeams", 1.5, "spec.generation.numBeams: Invalid value"),
    ("spec.generation.maxNewTokens", 257, "spec.generation.maxNewTokens: Invalid value"),
    ("spec.generation.lengthPenalty", 2.01, "spec.generation.lengthPenalty: Invalid value"),
    ("spec.generation.lengthPenalty", -0.01, "spec.generation.lengthPenalty: Invalid value"),
    ("spec.generation.noRepeatNgram", 11, "spec.generation.noRepeatNgram: Invalid value"),
    ("spec.generation.numBeam", 4, 'unknown field "spec.generation.numBeam"'),
    ("spec.dialogue.maxTurns", 0, "spec.dialogue.maxTurns: Invalid value"),
    ("spec.dialogue.maxTurns", 65, "spec.dialogue.maxTurns: Invalid value"),
    ("spec.scaling.minReplicas", -1, "spec.scaling.minReplicas: Invalid value"),
    ("spec.scaling.minReplicas", 101, "spec.scaling.minReplicas: Invalid value"),
    ("spec.rollout.progressDeadline", "4s", "spec.rollout.progressDeadline: Invalid value.*must be at least 5s"),
    ("spec.rollout.progressDeadline", "168h1s", "spec.rollout.progressDeadline: Invalid value.*must be at most 168h"),
    ("spec.rollout.progressDeadline", "10", "spec.rollout.progressDeadline: Invalid value"),
    ("spec.rollout.drain", "25h", "spec.rollout.drain: Invalid value.*must be at most 24h"),
    ("spec.rollout.drain", "999999h999999h", "spec.rollout.drain: Invalid value"),
    ("spec.rollout.drain", "-1s", "spec.rollout.drain: Invalid value"),
    ("metadata.name", "a" * 41, "metadata.name must be at most 40"),
    ("metadata.name", "9lives", "metadata.name must be .* beginning with a letter"),
    ("metadata.name", "a.b", "metadata.name must be .* lower-case letters, digits and '-'"),
]


@pytest.mark.parametrize(("path", "value", "expected"), BAD, ids=lambda one: str(one)[:40])
def test_an_object_out_of_bounds_is_refused_and_the_field_named(
    api: ApiServer, path: str, value: Any, expected: str
) -> None:
    with pytest.raises(CommandFailed) as refused:
        api.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(changed(manifest(), {path: value})))
    assert re.search(expected, " ".join(str(refused.value).split()))


def test_get_shows_the_state_of_a_rollout_at_a_glance(api: ApiServer, concierge: World) -> None:
    concierge.edit(spec__model__version="2.0.0").step()
    _write_status(api, concierge)
    header, row = api.kubectl("get", "dm", "-n", "assistants", "concierge").splitlines()
    assert header.split() == ["NAME", "PHASE", "READY", "VERSION", "STABLE", "CANDIDATE", "WEIGHT", "URL", "AGE"]
    stable, candidate = concierge.status.stable_revision, concierge.target
    assert row.split()[:8] == [
        "concierge", "Preparing", "True", "1.0.0", stable, candidate, "0", "http://concierge.assistants.models.example.com",
    ]  # fmt: skip


def test_get_wide_lets_someone_on_call_follow_a_rollout(api: ApiServer, concierge: World) -> None:
    verdicts = (
        GateVerdict(name="errors", revision="7f3a91c2", step=2, verdict="Pass"),
        GateVerdict(name="latency", revision="7f3a91c2", step=2, verdict="Fail"),
    )
    rollout = concierge.status.rollout.model_copy(update={"step": 2, "weight": 25, "paused": "Requested"})
    concierge.status = concierge.status.model_copy(update={"gates": verdicts, "rollout": rollout})
    _write_status(api, concierge)
    header, row = api.kubectl("get", "dm", "-n", "assistants", "concierge", "-o", "wide").splitlines()
    shown = {
        name: row[header.index(name) :].split()[0]
        for name in ("WEIGHT", "STEP", "PAUSED", "FAILING", "REPLICAS", "REASON")
    }
    assert shown == {
        "WEIGHT": "25", "STEP": "2", "PAUSED": "Requested", "FAILING": "latency", "REPLICAS": "2", "REASON": "Complete",
    }  # fmt: skip
    assert "the newest revision has all traffic" in row


def test_a_verb_needs_an_id_of_its_own(api: ApiServer, concierge: World) -> None:
    def ask(request: dict[str, str]) -> str:
        patch = json.dumps({"spec": {"rollout": {"request": request}}})
        return api.kubectl("patch", "dm", "concierge", "-n", "assistants", "--type=merge", "-p", patch)

    ask({"id": "7", "action": "Pause"})
    assert "no change" in ask({"id": "7", "action": "Pause"})
    with pytest.raises(CommandFailed, match=r"spec\.rollout\.request\.id: .*each verb needs an id of its own"):
        ask({"id": "7", "action": "Promote"})
    ask({"id": "8", "action": "Promote"})


def test_a_model_with_arms_cannot_be_scaled_to_nothing(api: ApiServer) -> None:
    api.apply(
        manifest("divided", spec__experiment={"arms": [{"name": "a", "weight": 10}]}, spec__scaling__maxReplicas=3)
    )
    with pytest.raises(CommandFailed, match="0 leaves no pod to arms and shadow"):
        api.kubectl("scale", "dm", "divided", "-n", "assistants", "--replicas=0")
    with pytest.raises(CommandFailed, match="minReplicas must be at most maxReplicas"):
        api.kubectl("scale", "dm", "divided", "-n", "assistants", "--replicas=4")


def test_the_fullest_status_is_taken(api: ApiServer) -> None:
    """What the operator records must never be refused: eight arms, sixteen gates, four that drain."""
    verdicts = tuple(
        GateVerdict(name=f"g-{n}", revision=f"{m:08x}", verdict="NoData", evidence="x" * 512)
        for n in range(16)
        for m in range(9)
    )
    status = DialogueModelStatus(gates=verdicts)
    api.apply(manifest("fullest"))
    patch = json.dumps({"status": status.to_json()})
    api.kubectl("patch", "dm", "fullest", "-n", "assistants", "--subresource=status", "--type=merge", "-p", patch)


def test_it_is_listed_by_its_short_name_and_among_all(api: ApiServer, concierge: World) -> None:
    assert "concierge" in api.kubectl("get", "dialoguemodel", "-n", "assistants")
    assert f"dialoguemodel.{names.GROUP}/concierge" in api.kubectl("get", "all", "-n", "assistants", "-o", "name")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("spec", "model\t<Object> -required-"),
        ("spec.model.uri", "pvc://CLAIM/PATH"),
        ("spec.model.digest", "refuses to serve a bundle that does not match"),
        ("spec.runtime.resources", "cpu\t<string>"),
        ("spec.generation", "numBeams\t<integer>"),
        ("spec.rollout.drain", "still answers its own conversations"),
        ("status.conditions", "lastTransitionTime\t<string> -required-"),
        ("status.rollout.outcome", "How it ended"),
    ],
)
def test_explain_says_what_a_field_is(api: ApiServer, path: str, text: str) -> None:
    assert text in " ".join(api.kubectl("explain", f"dialoguemodel.{path}").split(" ")).replace("\n    ", " ")


def test_wait_returns_when_a_condition_holds(api: ApiServer, concierge: World) -> None:
    for what in ("condition=Ready", "condition=Progressing", "jsonpath={.status.phase}=Stable"):
        assert "condition met" in api.kubectl(
            "wait", f"--for={what}", "dm/concierge", "-n", "assistants", "--timeout=5s"
        )
    with pytest.raises(CommandFailed, match="timed out"):
        api.kubectl("wait", "--for=condition=Ready=false", "dm/concierge", "-n", "assistants", "--timeout=1s")


def test_scale_changes_the_replicas_of_the_spec_alone(api: ApiServer, concierge: World) -> None:
    api.kubectl("scale", "dm", "concierge", "-n", "assistants", "--replicas=5")
    found = json.loads(api.kubectl("get", "dm", "concierge", "-n", "assistants", "-o", "json"))
    assert found["spec"]["scaling"]["minReplicas"] == 5
    assert found["status"] == concierge.status.to_json()
    scale = json.loads(
        api.kubectl("get", "--raw", f"/apis/{names.API_VERSION}/namespaces/assistants/{names.PLURAL}/concierge/scale")
    )
    assert scale["status"] == {"replicas": 2, "selector": f"{names.LABEL_MODEL}=concierge"}
    with pytest.raises(CommandFailed, match=r"minReplicas .*less than or equal to 100"):
        api.kubectl("scale", "dm", "concierge", "-n", "assistants", "--replicas=101")


def test_a_status_comes_back_as_it_was_written(api: ApiServer, concierge: World) -> None:
    found = json.loads(api.kubectl("get", "dm", "concierge", "-n", "assistants", "-o", "json"))
    assert found["status"] == concierge.status.to_json()


def test_applying_a_spec_again_does_not_touch_the_status(api: ApiServer, concierge: World) -> None:
    api.apply(manifest(**concierge.spec))
    found = json.loads(api.kubectl("get", "dm", "concierge", "-n", "assistants", "-o", "json"))
    assert found["status"]["phase"] == "Stable"
