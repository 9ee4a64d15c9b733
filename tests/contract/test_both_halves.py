"""What the operator tells the predictor, and what the predictor understands: neither imports the other."""

import json
from pathlib import Path
from typing import Any

import pytest

from dialogue_operator import names as operator_names
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.api.spec import DialogueModelSpec, Generation
from dialogue_operator.cli.manifests import read_models
from dialogue_operator.render.container import container
from dialogue_operator.render.routes import GatewayRef, routes
from dialogue_operator.rollout.plan import Plan, RevisionPlan, Variant
from dialogue_operator.rollout.revision import revision_of, serving_spec
from dialogue_predictor import names as predictor_names
from dialogue_predictor.config.source import read_environment
from dialogue_predictor.config.spec import parse_spec
from dialogue_predictor.errors import SpecInvalid
from dialogue_predictor.serving.arms import read_variants
from dialogue_predictor.serving.shadow import Shadow, in_cluster, read_shadow
from support.objects import changed, manifest, model
from support.samples import dialogue_models, documents

SHARED = (
    "HEADER_REVISION", "ENV_MODEL_NAME", "ENV_REVISION", "ENV_SPEC", "HTTP_PORT", "GRPC_PORT", "READY_PATH", "LIVE_PATH",
    "METRICS_PATH", "MODEL_DIR", "TERMINATION_LOG", "HEADER_ARMS", "HEADER_SHADOW", "COOKIE_REVISION", "CHAT_PATH",
    "METRIC_REQUESTS", "METRIC_REQUEST_SECONDS", "METRIC_REPLIES", "METRIC_REPLY_TOKENS", "METRIC_BEAM_MARGIN",
    "METRIC_PENDING_TOKENS", "METRIC_ACTIVE_CONVERSATIONS", "METRIC_FEEDBACK",
)  # fmt: skip


@pytest.mark.parametrize("name", SHARED)
def test_a_shared_name_is_the_same_in_both(name: str) -> None:
    assert getattr(operator_names, name) == getattr(predictor_names, name)


def test_a_shadow_is_asked_where_its_service_is() -> None:
    assert in_cluster("concierge", "0badcafe") == f"http://{operator_names.predictor_name('concierge', '0badcafe')}"
    assert operator_names.SERVICE_HTTP_PORT == 80, "the port that a URL without one means"


def test_the_predictor_reads_what_the_routes_tell_it() -> None:
    thirds = Generation(num_beams=1, length_penalty=0.5), Generation(max_new_tokens=9), Generation(no_repeat_ngram=0)
    revisions = [f"{at:08x}" for at in range(3)]
    plan = Plan(
        variants=tuple(Variant(r, "0badcafe", g) for r, g in zip(revisions, thirds, strict=True)),
        traffic=(*((revision, 30) for revision in revisions), ("feedbeef", 10)),
        pinned=(revisions[0],),
        shadow=("feedbeef", 7),
    )
    for route in routes(model(), plan, GatewayRef("gateway", "gateways", "example.com")):
        for rule in route["spec"]["rules"]:
            told = {one["name"]: one["value"] for one in rule["filters"][0]["requestHeaderModifier"]["set"]}
            variants = read_variants(told[predictor_names.HEADER_ARMS], "0badcafe")
            assert [(arm.revision, round(arm.weight, 2)) for arm in variants] == [(r, 33.33) for r in revisions]
            assert [arm.generation.model_dump() for arm in variants] == [each.model_dump() for each in thirds]
            assert read_shadow(told[predictor_names.HEADER_SHADOW]) == Shadow("feedbeef", 7)


def _container(wanted: DialogueModel) -> dict[str, Any]:
    serving = serving_spec(wanted.spec)
    return container(wanted, RevisionPlan(revision_of(serving), serving, 1))


def test_the_container_uses_the_ports_and_probes_that_the_predictor_serves() -> None:
    found = _container(model())
    ports = {port["name"]: port["containerPort"] for port in found["ports"]}
    assert ports[predictor_names.GRPC_PORT_NAME] == predictor_names.GRPC_PORT
    assert predictor_names.HTTP_PORT in ports.values()
    assert found["readinessProbe"]["httpGet"] == {
        "path": predictor_names.READY_PATH.format(name="concierge"),
        "port": predictor_names.HTTP_PORT,
    }
    assert found["livenessProbe"]["httpGet"]["path"] == predictor_names.LIVE_PATH
    assert found["terminationMessagePath"] == predictor_names.TERMINATION_LOG


FULL = {
    "spec__model": {"uri": "pvc://models/a/1.0.0", "version": "1.0.0", "digest": "sha256:" + "0" * 64},
    "spec__runtime": {"precision": "bf16", "image": "example.com/p:2", "resources": {"cpu": "4", "memory": "8Gi"}},
    "spec__generation": {"numBeams": 16, "maxNewTokens": 256, "lengthPenalty": 2.0, "noRepeatNgram": 10},
    "spec__dialogue": {"maxTurns": 64},
}


@pytest.mark.parametrize("changes", [{}, FULL], ids=["defaults", "everything"])
def test_the_predictor_reads_the_environment_that_the_operator_renders(changes: dict[str, Any]) -> None:
    wanted = model(**changes)
    env = {one["name"]: one["value"] for one in _container(wanted)["env"]}
    read = read_environment(env)
    assert read.name == wanted.name
    assert read.revision == revision_of(serving_spec(wanted.spec))
    assert read.in_pod
    assert json.loads(read.spec.model_dump_json(by_alias=True, exclude_none=True)) == json.loads(
        env[operator_names.ENV_SPEC]
    )


def test_both_have_the_same_defaults() -> None:
    smallest = {"model": {"uri": "builtin://default"}}
    mine = parse_spec(smallest).model_dump(by_alias=True)
    theirs = DialogueModelSpec.model_validate(smallest).to_json()
    assert mine["generation"] == theirs["generation"]
    assert mine["dialogue"] == theirs["dialogue"]
    assert mine["runtime"]["precision"] == theirs["runtime"].get("precision")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.generation.numBeams", 0), ("spec.generation.numBeams", 17), ("spec.generation.maxNewTokens", 257),
        ("spec.generation.lengthPenalty", 2.1), ("spec.generation.lengthPenalty", -0.1),
        ("spec.generation.noRepeatNgram", 11), ("spec.dialogue.maxTurns", 65), ("spec.dialogue.maxTurns", 0),
        ("spec.runtime.precision", "int4"), ("spec.model.digest", "sha256:0"), ("spec.generation.numBeams", "4"),
    ],
)  # fmt: skip
def test_what_one_refuses_the_other_refuses_by_the_same_name(path: str, value: object, tmp_path: Path) -> None:
    bad = changed(manifest(), {path: value})
    with pytest.raises(SpecInvalid, match=path):
        parse_spec(bad["spec"])
    file = tmp_path / "model.yaml"
    file.write_text(json.dumps(bad))
    with pytest.raises(Exception, match=path):
        read_models(str(file), "default")


@pytest.mark.parametrize("path", dialogue_models(), ids=lambda path: path.stem)
def test_every_sample_is_understood_by_both(path: Path) -> None:
    assert read_models(str(path), "default")
    for document in documents(path):
        if document["kind"] == "DialogueModel":
            assert parse_spec(document["spec"]).model.uri == document["spec"]["model"]["uri"]
