"""Chat completions, asked by the real openai client and by bare HTTP."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from support.serving import HELLO, Predictor

MESSAGES: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "hello there"},
]


@pytest.fixture(scope="module")
def client(predictor: Predictor) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{predictor.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_a_completion(client: openai.OpenAI) -> None:
    done = client.chat.completions.create(model="tiny", messages=MESSAGES, max_tokens=9, top_p=0.5, seed=1)
    (choice,) = done.choices
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.finish_reason == "length"
    assert (done.model, done.system_fingerprint, done.object) == ("tiny", "0badcafe", "chat.completion")
    assert done.usage is not None
    assert done.usage.completion_tokens == 9
    assert done.usage.total_tokens == done.usage.prompt_tokens + 9


def test_a_stream_joins_to_the_completion(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="tiny", messages=MESSAGES, max_tokens=20)
    with client.chat.completions.create(
        model="tiny", messages=MESSAGES, max_tokens=20, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"
    assert chunks[-1].usage == whole.usage
    assert len({chunk.id for chunk in chunks}) == 1


def test_events_on_the_wire(predictor: Predictor) -> None:
    with httpx.stream("POST", f"{predictor.url}/v1/chat/completions", json=HELLO | {"stream": True}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-dialogue-revision"] == "0badcafe"
        lines = [line for line in response.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert not any("usage" in chunk for chunk in chunks)


def test_a_stop_string_ends_both_ways(client: openai.OpenAI) -> None:
    def ask(**more: Any) -> Any:
        return client.chat.completions.create(model="tiny", messages=MESSAGES, max_tokens=20, **more)

    whole = ask().choices[0].message.content
    stop = whole[4:6]
    done = ask(stop=[stop]).choices[0]
    with ask(stop=stop, stream=True) as stream:
        chunks = [chunk.choices[0] for chunk in stream]
    assert done.message.content == whole[: whole.find(stop)] == "".join(chunk.delta.content or "" for chunk in chunks)
    assert (done.finish_reason, chunks[-1].finish_reason) == ("stop", "stop")


def say(client: openai.OpenAI, **more: Any) -> list[str | None]:
    done = client.chat.completions.create(model="tiny", messages=MESSAGES, max_tokens=12, **more)
    assert [choice.index for choice in done.choices] == list(range(len(done.choices)))
    assert done.usage is not None
    assert done.usage.completion_tokens == 12 * len(done.choices)
    assert done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens
    return [choice.message.content for choice in done.choices]


def test_without_a_temperature_the_reply_is_the_searches(client: openai.OpenAI) -> None:
    plain = say(client)
    for more in ({"temperature": 0}, {"temperature": 0.0, "top_p": 0.1, "seed": 3}, {"seed": -1}, {"top_p": 0.5}):
        assert say(client, **more) == plain


def test_a_temperature_draws_the_reply_by_its_seed(client: openai.OpenAI) -> None:
    plain = say(client)
    drawn = [say(client, temperature=2, seed=seed) for seed in range(4)]
    assert drawn == [say(client, temperature=2, seed=seed) for seed in range(4)]
    assert len({text for texts in (plain, *drawn) for text in texts}) >= 4
    unseeded = {str(say(client, temperature=2)) for _ in range(4)}
    assert len(unseeded) > 1, "a seed of its own for each request that names none"
    cold = {str(say(client, temperature=1e-9, top_p=0, seed=seed)) for seed in range(4)}
    assert len(cold) == 1


def test_a_drawn_stream_joins_to_the_completion(client: openai.OpenAI) -> None:
    drawing: Any = {"max_tokens": 12, "temperature": 2, "seed": 5}
    with client.chat.completions.create(model="tiny", messages=MESSAGES, stream=True, **drawing) as stream:
        said = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert [said] == say(client, temperature=2, seed=5)


def test_several_choices_are_the_best_of_the_search(client: openai.OpenAI) -> None:
    choices = say(client, n=4)
    assert choices[:1] == say(client)
    assert len(set(choices)) > 1
    assert say(client, n=2) == choices[:2]


def test_several_choices_are_drawn_apart(client: openai.OpenAI) -> None:
    choices = say(client, n=6, temperature=2, seed=7)
    assert len(set(choices)) > 1
    assert choices[1:2] == say(client, temperature=2, seed=8)


def test_text_parts_are_text(client: openai.OpenAI) -> None:
    parts: list[ChatCompletionMessageParam] = [
        {"role": "user", "content": [{"type": "text", "text": "hello "}, {"type": "text", "text": "there"}]}
    ]
    plain: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello there"}]
    first, second = (
        client.chat.completions.create(model="tiny", messages=each, max_tokens=8) for each in (parts, plain)
    )
    assert first.choices[0].message.content == second.choices[0].message.content


def test_more_tokens_than_a_reply_can_have(client: openai.OpenAI) -> None:
    done = client.chat.completions.create(model="tiny", messages=MESSAGES, max_completion_tokens=100_000)
    assert done.usage is not None
    assert done.usage.completion_tokens == 256


def test_another_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-9", messages=MESSAGES)
    assert caught.value.code == "model_not_found"


def test_a_mistake_is_a_bad_request_that_names_its_parameter(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="tiny", messages=MESSAGES, n=5)
    assert (caught.value.param, caught.value.type) == ("n", "invalid_request_error")


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").owned_by == "dialogue-serving"
