"""The serving part of a manifest: what is read, what is ignored, what is refused and in which words."""

from typing import Any

import pytest

from dialogue_predictor.config.spec import parse_spec
from dialogue_predictor.errors import SpecInvalid

MODEL = {"uri": "builtin://default"}


def test_defaults_are_those_of_the_manifest() -> None:
    spec = parse_spec({"model": MODEL})
    assert spec.generation.model_dump(by_alias=True) == {
        "numBeams": 4,
        "maxNewTokens": 48,
        "lengthPenalty": 1.0,
        "noRepeatNgram": 3,
    }
    assert (spec.runtime.precision, spec.dialogue.max_turns) == (None, 12)


def test_fields_of_the_operator_are_ignored() -> None:
    spec = parse_spec(
        {
            "model": {**MODEL, "digest": "sha256:" + "0" * 64},
            "runtime": {"precision": "bf16", "image": "example.com/p:1", "resources": {"cpu": "1"}},
            "scaling": {"minReplicas": 3},
            "rollout": {"steps": [{"weight": 10}]},
        }
    )
    assert spec.runtime.precision == "bf16"


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (None, "spec"),
        ({}, "spec.model"),
        ({"model": {}}, "spec.model.uri"),
        ({"model": {"uri": ""}}, "spec.model.uri"),
        ({"model": {"uri": 3}}, "spec.model.uri"),
        ({"model": {**MODEL, "digest": "sha256:abc"}}, "spec.model.digest"),
        ({"model": MODEL, "generation": {"numBeams": 17}}, "spec.generation.numBeams"),
        ({"model": MODEL, "generation": {"numBeams": True}}, "spec.generation.numBeams"),
        ({"model": MODEL, "generation": {"numBeams": "4"}}, "spec.generation.numBeams"),
        ({"model": MODEL, "generation": {"maxNewTokens": 0}}, "spec.generation.maxNewTokens"),
        ({"model": MODEL, "generation": {"lengthPenalty": float("nan")}}, "spec.generation.lengthPenalty"),
        ({"model": MODEL, "generation": {"noRepeatNgram": 11}}, "spec.generation.noRepeatNgram"),
        ({"model": MODEL, "dialogue": {"maxTurns": 65}}, "spec.dialogue.maxTurns"),
        ({"model": MODEL, "runtime": {"precision": "int3"}}, "spec.runtime.precision"),
    ],
)
def test_a_wrong_field_is_named(spec: Any, field: str) -> None:
    with pytest.raises(SpecInvalid) as caught:
        parse_spec(spec)
    assert caught.value.message.startswith(f"{field}: ")
    assert "\n" not in caught.value.message


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(SpecInvalid, match=r"spec\.generation\.numBeams.*; spec\.dialogue\.maxTurns"):
        parse_spec({"model": MODEL, "generation": {"numBeams": 0}, "dialogue": {"maxTurns": 0}})
