"""What a request's words become, protocol by protocol, before anything is computed."""

from typing import Any

import pytest

from dialogue_predictor.config.options import COLDEST, LEAST_TOP_P, RequestOptions
from dialogue_predictor.config.spec import Generation
from dialogue_predictor.inference.request import ReplyRequest
from dialogue_predictor.serving.codecs.chat import read_chat
from dialogue_predictor.serving.codecs.fields import read_options

MANIFEST = Generation(num_beams=6, max_new_tokens=20, length_penalty=0.5, no_repeat_ngram=2)


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        (None, {}),
        ({"lengthPenalty": 1}, {"length_penalty": 1}),
        ({"sample": True}, {"sample": True, "num_beams": 1}),
        ({"sample": True, "numBeams": 3}, {"sample": True, "num_beams": 3}),
        ({"sample": False}, {}),
        ({"sample": True, "topK": 5, "topP": 0.5, "temperature": 0.7, "seed": 9},
         {"sample": True, "num_beams": 1, "top_k": 5, "top_p": 0.5, "temperature": 0.7, "seed": 9}),
        ({"seed": 9, "badWords": ["a", "b"]}, {"seed": 9, "bad_words": ("a", "b")}),
    ],
)  # fmt: skip
def test_parameters_override_the_manifest(given: Any, asked: dict[str, Any]) -> None:
    assert read_options(given, MANIFEST, "parameters") == RequestOptions.of(MANIFEST, **asked)


def chat(**more: Any) -> tuple[ReplyRequest, ...]:
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], **more}
    return read_chat(body, "tiny", MANIFEST).replies


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"temperature": 0},
        {"temperature": None, "n": None},
        {"top_p": 0.1, "seed": 3},
        {"presence_penalty": 1, "user": "u"},
    ],
)
def test_a_chat_without_a_temperature_is_the_manifests_search(more: dict[str, Any]) -> None:
    (request,) = chat(**more)
    assert (request.options, request.replies) == (RequestOptions.of(MANIFEST), 1)


@pytest.mark.parametrize(
    ("more", "asked"),
    [
        ({"temperature": 1}, {"temperature": 1.0}),
        ({"temperature": 0.7, "top_p": 0.9, "seed": -5}, {"temperature": 0.7, "top_p": 0.9, "seed": -5}),
        ({"temperature": 1e-300, "top_p": 0}, {"temperature": COLDEST, "top_p": LEAST_TOP_P}),
    ],
)
def test_a_temperature_draws_one_reply(more: dict[str, Any], asked: dict[str, Any]) -> None:
    (request,) = chat(**more)
    assert request.options == RequestOptions.of(MANIFEST, sample=True, num_beams=1, **asked)
    RequestOptions.model_validate(request.options.model_dump())


def test_choices_of_a_search_are_asked_for_at_once_and_draws_one_by_one() -> None:
    (request,) = chat(n=6)
    assert request.replies == 6
    draws = chat(n=3, temperature=1, seed=2**63 - 2)
    assert [draw.replies for draw in draws] == [1, 1, 1]
    assert [RequestOptions.of(draw.options).seed for draw in draws] == [2**63 - 2, 2**63 - 1, -(2**63)]
    assert [RequestOptions.of(draw.options).seed for draw in chat(n=16, temperature=1)] == [None] * 16
