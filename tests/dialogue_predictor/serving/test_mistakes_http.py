"""Every mistake a client can make over HTTP gets one clear 4xx: the field, the fix, and nothing it sent."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from support.serving import Predictor

WORD = "xyzzysecret"  # in every bad text; it may never come back
CHAT, PREDICT, INFER = "/v1/chat/completions", "/v1/models/tiny:predict", "/v2/models/tiny/infer"


def chat(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"model": "tiny", "messages": list(messages), **more}


def user(content: Any = f"hi {WORD}", **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def predict(*instances: Any, **parameters: Any) -> dict[str, Any]:
    return {"instances": list(instances), "parameters": parameters}


def infer(data: Any = (WORD,), **changes: Any) -> dict[str, Any]:
    tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": list(data), **changes}
    return {"inputs": [tensor]}


LONG = WORD + "x" * 4096
SHAPES: list[tuple[str, str, Any, str]] = [
    # sentence, path, body, the field that is named
    ("no messages", CHAT, {"model": "tiny"}, "messages"),
    ("messages of the wrong type", CHAT, chat() | {"messages": WORD}, "messages"),
    ("an empty list of messages", CHAT, chat(), "messages"),
    ("too many messages", CHAT, chat(*[user()] * 65), "messages"),
    ("a message that is no object", CHAT, chat(WORD), "messages[0]"),
    ("an unknown role", CHAT, chat({"role": WORD, "content": "hi"}), "messages[0].role"),
    ("no role", CHAT, chat({"content": "hi"}), "messages[0].role"),
    ("the last word is the assistant's", CHAT, chat({"role": "assistant", "content": WORD}), "messages[0].role"),
    ("a late system message", CHAT, chat(user(), {"role": "system", "content": WORD}, user()), "messages[1].role"),
    ("no content", CHAT, chat({"role": "user"}), "messages[0].content"),
    ("content of the wrong type", CHAT, chat(user(3)), "messages[0].content"),
    ("empty content", CHAT, chat(user("")), "messages[0].content"),
    ("blank content", CHAT, chat(user(" \n\t")), "messages[0].content"),
    ("over-long content", CHAT, chat(user(LONG)), "messages[0].content"),
    ("a control character", CHAT, chat(user(f"{WORD}\x07")), "messages[0].content"),
    ("a NUL", CHAT, chat(user(f"{WORD}\x00")), "messages[0].content"),
    ("an image part", CHAT, chat(user([{"type": "image_url", "image_url": WORD}])), "messages[0].content[0].type"),
    ("no model", CHAT, {"messages": [user()]}, "model"),
    ("a model of the wrong type", CHAT, chat(user(), model=3), "model"),
    ("tools", CHAT, chat(user(), tools=[{"type": "function"}]), "tools"),
    ("more answers than beams", CHAT, chat(user(), n=5), "n"),
    ("more draws than one may ask for", CHAT, chat(user(), n=17, temperature=1), "n"),
    ("two answers in a stream", CHAT, chat(user(), n=2, stream=True), "n"),
    ("no answer", CHAT, chat(user(), n=0), "n"),
    ("a boolean for a number", CHAT, chat(user(), n=True), "n"),
    ("log-probabilities", CHAT, chat(user(), logprobs=True), "logprobs"),
    ("JSON mode", CHAT, chat(user(), response_format={"type": "json_object"}), "response_format"),
    ("a temperature out of range", CHAT, chat(user(), temperature=2.5), "temperature"),
    ("a temperature of the wrong type", CHAT, chat(user(), temperature=WORD), "temperature"),
    ("a negative temperature", CHAT, chat(user(), temperature=-0.1), "temperature"),
    ("a share out of range", CHAT, chat(user(), top_p=1.5), "top_p"),
    ("a seed that is no integer", CHAT, chat(user(), seed=1.5), "seed"),
    ("a seed of the wrong type", CHAT, chat(user(), seed=WORD), "seed"),
    ("a seed past 64 bits", CHAT, chat(user(), seed=2**63), "seed"),
    ("no tokens", CHAT, chat(user(), max_tokens=0), "max_tokens"),
    ("half a token", CHAT, chat(user(), max_completion_tokens=1.5), "max_completion_tokens"),
    ("too many stops", CHAT, chat(user(), stop=[WORD] * 9), "stop"),
    ("an over-long stop", CHAT, chat(user(), stop=WORD * 10), "stop"),
    ("an empty stop", CHAT, chat(user(), stop=[""]), "stop"),
    ("stream of the wrong type", CHAT, chat(user(), stream="yes"), "stream"),
    ("stream options of the wrong type", CHAT, chat(user(), stream_options=WORD), "stream_options"),
    ("an unknown field", CHAT, chat(user(), **{WORD: 1}), ""),
    ("no instances", PREDICT, {}, "instances"),
    ("instances of the wrong type", PREDICT, {"instances": WORD}, "instances"),
    ("no instance", PREDICT, predict(), "instances"),
    ("too many instances", PREDICT, predict(*[WORD] * 33), "instances"),
    ("a numeric instance", PREDICT, predict(1), "instances[0]"),
    ("an empty instance", PREDICT, predict(WORD, ""), "instances[1]"),
    ("neither text nor messages", PREDICT, predict({}), "instances[0]"),
    ("both text and messages", PREDICT, predict({"text": WORD, "messages": []}), "instances[0]"),
    ("text of the wrong type", PREDICT, predict({"text": [WORD]}), "instances[0].text"),
    ("messages without a user", PREDICT, predict({"messages": []}), "instances[0].messages"),
    ("too many beams", PREDICT, predict(WORD, numBeams=17), "parameters.numBeams"),
    ("no beams", PREDICT, predict(WORD, numBeams=0), "parameters.numBeams"),
    ("a beam and a half", PREDICT, predict(WORD, numBeams=1.5), "parameters.numBeams"),
    ("beams as text", PREDICT, predict(WORD, numBeams=WORD), "parameters.numBeams"),
    ("beams as a truth", PREDICT, predict(WORD, numBeams=True), "parameters.numBeams"),
    ("beams past 64 bits", PREDICT, predict(WORD, numBeams=10**30), "parameters.numBeams"),
    ("too many tokens", PREDICT, predict(WORD, maxNewTokens=257), "parameters.maxNewTokens"),
    ("a penalty out of range", PREDICT, predict(WORD, lengthPenalty=-0.5), "parameters.lengthPenalty"),
    ("a temperature of zero", PREDICT, predict(WORD, sample=True, temperature=0), "parameters.temperature"),
    ("too hot", PREDICT, predict(WORD, sample=True, temperature=2.1), "parameters.temperature"),
    ("a temperature for a search", PREDICT, predict(WORD, temperature=0.7), "parameters.temperature"),
    ("a temperature without sampling", PREDICT, predict(WORD, sample=False, temperature=1), "parameters.temperature"),
    ("the likeliest for a search", PREDICT, predict(WORD, topK=5), "parameters.topK"),
    ("a negative number of likeliest", PREDICT, predict(WORD, sample=True, topK=-1), "parameters.topK"),
    ("a share for a search", PREDICT, predict(WORD, topP=0.9), "parameters.topP"),
    ("no share at all", PREDICT, predict(WORD, sample=True, topP=0), "parameters.topP"),
    ("sampling as a number", PREDICT, predict(WORD, sample=1), "parameters.sample"),
    ("half a seed", PREDICT, predict(WORD, sample=True, seed=0.5), "parameters.seed"),
    ("a seed past 64 bits", PREDICT, predict(WORD, sample=True, seed=2**63), "parameters.seed"),
    ("a repetition penalty of zero", PREDICT, predict(WORD, repetitionPenalty=0), "parameters.repetitionPenalty"),
    ("a negative least length", PREDICT, predict(WORD, minNewTokens=-1), "parameters.minNewTokens"),
    ("more least than most", PREDICT, predict(WORD, minNewTokens=9, maxNewTokens=8), "parameters.minNewTokens"),
    ("more least than the manifest's most", PREDICT, predict(WORD, minNewTokens=49), "parameters.minNewTokens"),
    ("an unknown way to stop", PREDICT, predict(WORD, earlyStopping=WORD), "parameters.earlyStopping"),
    ("stopping as a number", PREDICT, predict(WORD, earlyStopping=1), "parameters.earlyStopping"),
    ("bad words of the wrong type", PREDICT, predict(WORD, badWords=WORD), "parameters.badWords"),
    ("a bad word that is none", PREDICT, predict(WORD, badWords=["hi", 3]), "parameters.badWords"),
    ("an empty bad word", PREDICT, predict(WORD, badWords=[""]), "parameters.badWords"),
    ("a blank bad word", PREDICT, predict(WORD, badWords=["  "]), "parameters.badWords"),
    ("a bad word that is too long", PREDICT, predict(WORD, badWords=[WORD * 3]), "parameters.badWords"),
    ("a bad word of too many bytes", PREDICT, predict(WORD, badWords=["店" * 11]), "parameters.badWords"),
    ("too many bad words", PREDICT, predict(WORD, badWords=["hi"] * 17), "parameters.badWords"),
    ("an unknown option", PREDICT, predict(WORD, **{WORD: 1}), "parameters"),
    ("parameters of the wrong type", PREDICT, {"instances": [WORD], "parameters": [WORD]}, "parameters"),
    ("no inputs", INFER, {}, "inputs"),
    ("an empty list of inputs", INFER, {"inputs": []}, "inputs"),
    ("two inputs", INFER, {"inputs": infer()["inputs"] * 2}, "inputs"),
    ("an input that is no object", INFER, {"inputs": [WORD]}, "inputs[0]"),
    ("an unknown input", INFER, infer(name=WORD), "inputs[0].name"),
    ("another datatype", INFER, infer(datatype="INT32"), "inputs[0].datatype"),
    ("an unknown datatype", INFER, infer(datatype=WORD), "inputs[0].datatype"),
    ("a shape that does not fit", INFER, infer(shape=[2]), "inputs[0].shape"),
    ("a negative shape", INFER, infer(shape=[-1]), "inputs[0].shape"),
    ("a huge shape", INFER, infer(shape=[2**62, 2**62]), "inputs[0].shape"),
    ("a shape of the wrong type", INFER, infer(shape=WORD), "inputs[0].shape"),
    ("no shape", INFER, infer(shape=None), "inputs[0].shape"),
    ("no data", INFER, {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1]}]}, "inputs[0].data"),
    ("empty data", INFER, infer(()), "inputs[0].data"),
    ("numeric data", INFER, infer((1,)), "inputs[0].data[0]"),
    ("an empty text", INFER, infer(("",)), "inputs[0].data[0]"),
    ("messages that are no JSON", INFER, infer(name="messages"), "inputs[0].data[0]"),
    ("messages without a role", INFER, infer(('[{"content":"x"}]',), name="messages"), "inputs[0].data[0].messages[0].role"),
    ("an id of the wrong type", INFER, infer() | {"id": 3}, "id"),
    ("an unknown output", INFER, infer() | {"outputs": [{"name": WORD}]}, "outputs[0].name"),
    ("binary data that is not there", INFER, infer(data=(), parameters={"binary_data_size": 9}), "inputs[0].data"),
    ("beams out of range", INFER, infer() | {"parameters": {"numBeams": 99}}, "parameters.numBeams"),
]  # fmt: skip

RAW: list[tuple[str, str, bytes, str]] = [
    (f"{kind} at {path}", path, body, field)
    for path in (CHAT, PREDICT, INFER)
    for kind, body, field in (
        ("nothing", b"", ""),
        ("no JSON", b'{"text": ' + WORD.encode(), ""),
        ("null", b"null", ""),
        ("a string", b'"x"', ""),
        ("a list", b"[]", ""),
        ("not UTF-8", b'{"model": "\xff\xfe"}', ""),
        ("a great depth", b"[" * 100_000, ""),
        ("NaN", b'{"instances": ["x"], "parameters": {"lengthPenalty": NaN}}', "parameters.lengthPenalty"),
        ("an infinity", b'{"instances": ["x"], "parameters": {"lengthPenalty": -Infinity}}', "parameters.lengthPenalty"),
        ("a lone surrogate", b'{"messages": [{"role": "user", "content": "\\ud83d"}]}', "messages[0].content"),
        ("a lone surrogate under a secret", f'{{"{WORD}": "\\udc00"}}'.encode(), "…"),
    )
]  # fmt: skip


@pytest.fixture(scope="module")
def client(predictor: Predictor) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=predictor.url, timeout=10) as client:
        yield client


def check(response: httpx.Response, status: int, field: str | None = None) -> None:
    assert response.status_code == status, response.text
    told = response.json()
    error = told["error"]
    nested = isinstance(error, dict)
    message = error["message"] if nested else error
    assert message
    assert WORD not in response.text
    assert "Traceback" not in response.text
    assert "File " not in response.text
    assert told["request_id"] == response.headers["x-request-id"]
    assert response.headers["x-dialogue-revision"] == "0badcafe"
    if field is not None:
        assert (error["param"] or "" if nested else told.get("field", "")) == field, message


@pytest.mark.parametrize(("path", "body", "field"), [case[1:] for case in SHAPES], ids=[case[0] for case in SHAPES])
def test_a_wrong_shape_is_a_400_that_names_the_field(client: httpx.Client, path: str, body: Any, field: str) -> None:
    check(client.post(path, content=json.dumps(body), headers={"content-type": "application/json"}), 400, field)


@pytest.mark.parametrize(("path", "body", "field"), [case[1:] for case in RAW], ids=[case[0] for case in RAW])
def test_a_body_that_is_not_json_is_a_400(client: httpx.Client, path: str, body: bytes, field: str) -> None:
    check(client.post(path, content=body, headers={"content-type": "application/json"}), 400, field)


@pytest.mark.parametrize(
    ("media", "status"),
    [
        ("application/json; charset=utf-8", 200),
        ("Application/JSON", 200),
        ("application/x-www-form-urlencoded", 200),  # what curl says of -d
        ("text/plain", 415),
        ("application/json; charset=latin-1", 415),
        ("application/cloudevents+json", 415),
        ("application/octet-stream", 415),
        ("multipart/form-data; boundary=x", 415),
    ],
)
def test_media_types(client: httpx.Client, media: str, status: int) -> None:
    for path, body in ((PREDICT, predict("hi", maxNewTokens=1)), (CHAT, chat(user(), max_tokens=1))):
        response = client.post(path, content=json.dumps(body), headers={"content-type": media})
        if status == 200:
            assert response.status_code == 200, response.text
        else:
            check(response, status)


def test_a_compressed_body_is_refused(client: httpx.Client) -> None:
    check(client.post(CHAT, content=b"\x1f\x8b", headers={"content-encoding": "gzip"}), 415)


def test_headers_of_a_cloud_event_change_nothing(client: httpx.Client) -> None:
    headers = {"ce-id": "1", "ce-source": "x", "ce-type": "y", "ce-specversion": "9"}
    response = client.post(PREDICT, json=predict("hi", maxNewTokens=1), headers=headers)
    assert response.status_code == 200
    assert "ce-id" not in response.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v2/repository/models/tiny/unload", 404),
        ("POST", "/v2/repository/models/tiny/load", 404),
        ("POST", "/v2/repository/index", 404),
        ("POST", "/v1/models/tiny:explain", 404),
        ("POST", "/v2/models/tiny/versions/1/infer", 404),
        ("GET", "/openapi.json", 404),
        ("GET", "/docs", 404),
        ("GET", "/nothing", 404),
        ("GET", "/v1/models/tiny/../../nothing", 404),
        ("POST", "/v1/models/other:predict", 404),
        ("POST", "/v2/models/other/infer", 404),
        ("GET", "/v1/models/other", 404),
        ("GET", "/v2/models/other", 404),
        ("GET", "/v2/models/other/ready", 404),
        ("GET", CHAT, 405),
        ("PUT", CHAT, 405),
        ("GET", PREDICT, 405),
        ("DELETE", "/v1/models/tiny", 405),
        ("POST", "/metrics", 405),
        ("POST", "/v2/models/tiny/ready", 405),
    ],
)
def test_paths_and_methods(client: httpx.Client, method: str, path: str, status: int) -> None:
    response = client.request(method, path, json=predict("hi") if method == "POST" else None)
    check(response, status)
    if status == 405:
        assert response.headers["allow"] in ("GET", "POST")


def test_the_model_outlives_attempts_to_unload_it(client: httpx.Client, predictor: Predictor) -> None:
    client.post("/v2/repository/models/tiny/unload")
    assert client.get("/v2/models/tiny/ready").json() == {"name": "tiny", "ready": True}


def test_a_model_of_another_name_is_not_found_as_openai_says_it(client: httpx.Client) -> None:
    response = client.post(CHAT, json=chat(user(), model=f"gpt-{WORD}"))
    check(response, 404)
    assert response.json()["error"]["code"] == "model_not_found"


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon", ""])
def test_a_time_out_that_is_no_time(client: httpx.Client, seconds: str) -> None:
    response = client.post(CHAT, json=chat(user()), headers={"x-request-timeout": seconds})
    check(response, 400, "x-request-timeout")


@pytest.mark.parametrize("tenant", ["a b", WORD * 6, "<script>", "é"])
@pytest.mark.parametrize("path", [CHAT, PREDICT, INFER])
def test_a_tenant_that_is_no_plain_word(client: httpx.Client, path: str, tenant: str) -> None:
    response = client.post(path, json=chat(user()), headers={b"x-dialogue-tenant": tenant.encode()})
    check(response, 400, "x-dialogue-tenant")


@pytest.mark.parametrize("priority", ["", "11", "-11", "1.5", "+1", "high", "1 2", "٣"])
def test_a_priority_that_is_none(client: httpx.Client, priority: str) -> None:
    response = client.post(CHAT, json=chat(user()), headers={b"x-dialogue-priority": priority.encode()})
    check(response, 400, "x-dialogue-priority")


def test_the_binary_extension_with_a_wrong_length(client: httpx.Client) -> None:
    body = json.dumps(infer()).encode()
    for length in ("x", "-1", str(len(body) + 1), "٣"):
        headers = {"content-type": "application/octet-stream", "inference-header-content-length": length.encode()}
        check(client.post(INFER, content=body, headers=headers), 400, "inference-header-content-length")  # type: ignore[arg-type]


def test_mistakes_are_counted_as_the_clients(client: httpx.Client, predictor: Predictor) -> None:
    before = predictor.metric("dialogue_requests_total", outcome="client_error")
    client.post(CHAT, json=[])
    client.post(CHAT, content=b"x", headers={"content-type": "text/plain"})
    assert predictor.metric("dialogue_requests_total", outcome="client_error") == before + 2
    assert predictor.metric("dialogue_requests_total", outcome="server_error") == 0
