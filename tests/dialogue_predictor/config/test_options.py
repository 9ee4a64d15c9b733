"""What a request may ask is what a manifest says, and more."""

from typing import Any, get_type_hints

import pytest
from pydantic import ValidationError

from dialogue_predictor.config.options import COLDEST, LEAST_TOP_P, RequestOptions
from dialogue_predictor.config.spec import Generation, parse_spec
from dialogue_predictor.decoding.options import GenerationOptions


def test_a_request_that_asks_for_nothing_gets_the_manifests_options() -> None:
    manifest = Generation(num_beams=7, max_new_tokens=9, length_penalty=0.3, no_repeat_ngram=0)
    options = RequestOptions.of(manifest)
    assert {name: getattr(options, name) for name in Generation.model_fields} == manifest.model_dump()
    assert RequestOptions.of(options) == options


def test_a_field_that_both_have_means_nothing_by_default_in_both() -> None:
    """The manifest has defaults of its own for its own fields."""
    ours, theirs = RequestOptions(), GenerationOptions()
    shared = (RequestOptions.model_fields.keys() - Generation.model_fields.keys()) & get_type_hints(
        GenerationOptions
    ).keys()
    assert len(shared) == 8
    for name in shared:
        assert getattr(ours, name) == getattr(theirs, name), name


def test_what_only_a_request_has_changes_no_manifest() -> None:
    spec = parse_spec({"model": {"uri": "builtin://default"}, "generation": {"temperature": 0.7, "sample": True}})
    assert spec.generation == Generation(), "unknown to the manifest, so the operator's business"


@pytest.mark.parametrize(
    "asked",
    [
        {"temperature": COLDEST}, {"temperature": 2}, {"topP": LEAST_TOP_P}, {"topP": 1}, {"topK": 1000}, {"seed": -(2**63)},
        {"seed": None}, {"earlyStopping": "never"}, {"earlyStopping": True}, {"badWords": []}, {"badWords": ["a" * 31] * 16},
        {"repetitionPenalty": 0.1}, {"minNewTokens": 256},
    ],
)  # fmt: skip
def test_the_edges_of_each_range_are_in_it(asked: dict[str, Any]) -> None:
    options = RequestOptions.model_validate(asked)
    wanted = {name: tuple(value) if isinstance(value, list) else value for name, value in asked.items()}
    assert options.model_dump(by_alias=True) == RequestOptions().model_dump(by_alias=True) | wanted


@pytest.mark.parametrize(
    "asked",
    [
        {"temperature": 0}, {"temperature": 2.01}, {"temperature": float("nan")}, {"topP": 0}, {"topP": 1.01}, {"topK": -1},
        {"topK": 1001}, {"seed": 2**63}, {"seed": True}, {"earlyStopping": 1}, {"badWords": ["a" * 32]},
        {"badWords": ["a"] * 17}, {"badWords": [1]}, {"repetitionPenalty": 0}, {"repetitionPenalty": float("inf")},
        {"minNewTokens": 257}, {"sample": 1},
    ],
)  # fmt: skip
def test_past_the_edges_is_refused_by_name(asked: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        RequestOptions.model_validate(asked)
    assert caught.value.errors()[0]["loc"][0] in asked
