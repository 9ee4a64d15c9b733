"""The CRD that is printed: complete, bounded, and the same wherever it is kept."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from dialogue_operator.api.crd import crd
from dialogue_operator.api.spec import DialogueModelSpec
from support.generate import GENERATED
from support.objects import changed, manifest

VERSION = crd()["spec"]["versions"][0]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]


def _fields(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from _fields(inner, f"{path}.{name}")
    if "items" in schema:
        yield from _fields(schema["items"], f"{path}[]")


FIELDS = dict(_fields(SCHEMA["properties"]["spec"], "spec")) | dict(_fields(SCHEMA["properties"]["status"], "status"))


@pytest.mark.parametrize("path", FIELDS)
def test_every_field_has_a_type_and_bounds(path: str) -> None:
    field = FIELDS[path]
    if field["type"] == "string":
        assert "maxLength" in field or "enum" in field
    if field["type"] == "array":
        assert "maxItems" in field
        assert field["x-kubernetes-list-type"] in {"map", "atomic"}
    if field["type"] in {"integer", "number"}:
        assert "minimum" in field
        assert "maximum" in field or path.startswith("status")
    if field["type"] == "object":
        assert field["properties"], "no object without known fields"


@pytest.mark.parametrize("path", [path for path in FIELDS if not path.endswith("[]")])
def test_every_field_is_explained_in_a_sentence(path: str) -> None:
    text = FIELDS[path]["description"]
    assert text.endswith(".")
    assert "\n" not in text


def test_the_schema_has_nothing_that_is_not_structural() -> None:
    known = {
        "type", "format", "description", "default", "enum", "pattern", "maxLength", "minLength", "maximum", "minimum",
        "maxItems", "properties", "required", "items", "x-kubernetes-validations", "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
    }  # fmt: skip
    assert {key for field in FIELDS.values() for key in field} <= known


def test_the_rules_that_types_cannot_express_are_these() -> None:
    found = {
        path: [rule["message"] for rule in field["x-kubernetes-validations"]]
        for path, field in FIELDS.items()
        if "x-kubernetes-validations" in field and path.startswith("spec") and "overrides" not in path
    }
    week, share = "must be at most 168h", "sum to at most 99: the stable revision needs a share, too"
    assert found == {
        "spec": [
            f"the heaviest step and the arms must {share}",
            "0 leaves no pod to arms and shadow: give at least 1, or remove them",
        ],
        "spec.runtime.resources.cpu": ["must be at least 10m"],
        "spec.runtime.resources.memory": ["must be at least 256Mi"],
        "spec.scaling": ["minReplicas must be at most maxReplicas"],
        "spec.scaling.target": ["must be at least 1m"],
        "spec.scaling.idleTimeout": ["must be at least 10s", "must be at most 24h"],
        "spec.rollout": [
            "strategy Canary needs steps, and only it has them",
            "the weights of steps must ascend",
            "names of gates must differ",
            "a step names a gate that rollout.gates does not have",
        ],
        "spec.rollout.steps[].hold": ["must be at least 1s", week],
        "spec.rollout.preview": ["must be at least 0s", week],
        "spec.rollout.gates[]": [
            "a gate has either a metric or a query, and not both",
            "a gate has exactly one of margin, max and min",
            "a query is compared with max or min; only a metric can have a margin",
        ],
        "spec.rollout.bake": ["must be at least 0s", week],
        "spec.rollout.progressDeadline": ["must be at least 5s", week],
        "spec.rollout.drain": ["must be at least 0s", "must be at most 24h"],
        "spec.rollout.request": [
            "is for action Rollback alone",
            "each verb needs an id of its own: change it together with the action",
        ],
        "spec.experiment": [
            "names of arms must differ",
            "stable, candidate and shadow are no names for arms",
            f"weights of arms must {share}",
        ],
    }
    assert "size(self.metadata.name) <= 40" in SCHEMA["x-kubernetes-validations"][0]["rule"]


def test_only_the_model_is_required_and_everything_else_has_a_default() -> None:
    assert SCHEMA["required"] == ["spec"]
    assert SCHEMA["properties"]["spec"]["required"] == ["model"]
    assert SCHEMA["properties"]["spec"]["properties"]["model"]["required"] == ["uri"]
    spec = DialogueModelSpec.model_validate({"model": {"uri": "builtin://default"}})
    assert spec.to_json() == {
        "model": {"uri": "builtin://default", "version": ""},
        "runtime": {"resources": {"cpu": "1", "memory": "2Gi"}},
        "generation": {"numBeams": 4, "maxNewTokens": 48, "lengthPenalty": 1.0, "noRepeatNgram": 3},
        "dialogue": {"maxTurns": 12},
        "scaling": {"minReplicas": 1, "metric": "cpu", "idleTimeout": "5m"},
        "rollout": {
            "strategy": "Immediate",
            "steps": [],
            "preview": "0s",
            "gates": [],
            "stickiness": "Conversation",
            "onAbort": "Migrate",
            "bake": "0s",
            "progressDeadline": "10m",
            "drain": "30s",
        },
        "experiment": {"arms": []},
    }


def test_defaults_of_the_schema_are_those_of_the_models() -> None:
    def filled(schema: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
        found = dict(value)
        for name, field in schema["properties"].items():
            if name not in found and "default" in field:
                found[name] = field["default"]
            if field["type"] == "object" and name in found:
                found[name] = filled(field, found[name])
        return found

    smallest = {"model": {"uri": "builtin://default"}}
    assert filled(SCHEMA["properties"]["spec"], smallest) == DialogueModelSpec.model_validate(smallest).to_json()


def test_a_field_of_a_newer_release_is_ignored() -> None:
    spec = changed(manifest(), {"spec.cache": {"enabled": True}, "spec.model.storage": {"secretName": "x"}})["spec"]
    assert DialogueModelSpec.model_validate(spec).model.uri == "builtin://default"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.rollout.progressDeadline", "4s"),
        ("spec.rollout.progressDeadline", "169h"),
        ("spec.rollout.drain", "24h1ms"),
        ("spec.runtime.resources.memory", "255Mi"),
        ("spec.runtime.resources.cpu", "9m"),
    ],
)
def test_python_checks_the_same_bounds_as_cel(path: str, value: str) -> None:
    with pytest.raises(ValidationError, match="must be at"):
        DialogueModelSpec.model_validate(changed(manifest(), {path: value})["spec"])


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.name + "@" + path.parent.name)
def test_what_is_generated_is_what_is_committed(path: Any) -> None:
    assert path.read_text(encoding="utf-8") == GENERATED[path](), "run `make generate`"
