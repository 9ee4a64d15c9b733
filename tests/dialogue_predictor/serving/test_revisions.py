"""Several revisions in one process: who answers over every protocol, what it counts for, and who gets a cookie."""

import json
from collections import Counter
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from support.gateway_part import arms, variant
from support.serving import HELLO, REVISION, Predictor, serving

CHAT = "/v1/chat/completions"
SHORT = "5000e711"
ARMS = arms(variant(SHORT, 0, maxNewTokens=3))
TENSOR = {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["hello there"]}


def pin(revision: str) -> dict[str, str]:
    return {"x-dialogue-revision": revision}


@pytest.fixture
def client(predictor: Predictor) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=predictor.url, headers=ARMS) as client:
        yield client


def tokens(response: httpx.Response) -> int:
    count: int = response.json()["usage"]["completion_tokens"]
    return count


def test_a_variant_answers_with_its_own_decoding(client: httpx.Client) -> None:
    theirs, ours = client.post(CHAT, json=HELLO, headers=pin(SHORT)), client.post(CHAT, json=HELLO)
    assert (tokens(theirs), theirs.headers["x-dialogue-revision"]) == (3, SHORT)
    assert theirs.json()["system_fingerprint"] == SHORT
    assert (tokens(ours), ours.headers["x-dialogue-revision"]) == (48, REVISION)
    assert ours.json()["system_fingerprint"] == REVISION


def test_what_a_client_asks_for_goes_before_a_variants_defaults(client: httpx.Client) -> None:
    assert tokens(client.post(CHAT, json=HELLO | {"max_tokens": 5}, headers=pin(SHORT))) == 5


def test_v1_and_v2_over_http_and_a_stream(client: httpx.Client) -> None:
    body: dict[str, Any] = {"instances": ["hello there"]}
    response = client.post("/v1/models/tiny:predict", json=body, headers=pin(SHORT))
    assert (response.json()["predictions"][0]["tokens"], response.headers["x-dialogue-revision"]) == (3, SHORT)
    response = client.post("/v2/models/tiny/infer", json={"inputs": [TENSOR]}, headers=pin(SHORT))
    assert (response.json()["model_version"], response.headers["x-dialogue-revision"]) == (SHORT, SHORT)
    with client.stream("POST", CHAT, json=HELLO | {"stream": True}, headers=pin(SHORT)) as stream:
        assert stream.headers["x-dialogue-revision"] == SHORT
        chunk = json.loads(next(stream.iter_lines()).removeprefix("data: "))
    assert chunk["system_fingerprint"] == SHORT


def test_over_grpc(predictor: Predictor) -> None:
    tensor = pb.ModelInferRequest.InferInputTensor(
        name="text", datatype="BYTES", shape=[1], contents=pb.InferTensorContents(bytes_contents=[b"hello there"])
    )
    request = pb.ModelInferRequest(model_name="tiny", inputs=[tensor])
    with grpc.insecure_channel(predictor.target) as channel:
        stub = GRPCInferenceServiceStub(channel)
        answer, call = stub.ModelInfer.with_call(request, metadata=tuple((ARMS | pin(SHORT)).items()))
        assert (answer.model_version, dict(call.initial_metadata())["x-dialogue-revision"]) == (SHORT, SHORT)
        answer, call = stub.ModelInfer.with_call(request, metadata=tuple(ARMS.items()))
        assert dict(call.initial_metadata())["x-dialogue-revision"] == REVISION


def test_unpinned_conversations_are_split_by_weight(client: httpx.Client) -> None:
    half = arms(variant(SHORT, 50, maxNewTokens=1))
    short = HELLO | {"max_tokens": 1}
    found = Counter(client.post(CHAT, json=short, headers=half).headers["x-dialogue-revision"] for _ in range(60))
    assert found.keys() == {SHORT, REVISION}, "one in 2^59 fails by chance"
    every = arms(variant(SHORT, 100, maxNewTokens=1))
    assert {client.post(CHAT, json=short, headers=every).headers["x-dialogue-revision"] for _ in range(20)} == {SHORT}


def test_a_pin_to_what_is_not_here_is_answered_and_counted_once(client: httpx.Client, predictor: Predictor) -> None:
    sample = "dialogue_version_switches_total"
    before = predictor.metric(sample, revision=REVISION)
    response = client.post(CHAT, json=HELLO, headers=pin("deadbeef"))
    assert (response.status_code, response.headers["x-dialogue-revision"]) == (200, REVISION)
    client.post(CHAT, json=HELLO, headers=pin(response.headers["x-dialogue-revision"]))
    client.get(CHAT, headers=pin("deadbeef"))
    client.get("/v1/models", headers=pin("deadbeef"))
    assert predictor.metric(sample, revision=REVISION) == before + 1


def test_everything_that_a_gate_reads_is_told_of_the_variant(predictor: Predictor) -> None:
    revision = "0000f00d"
    headers = arms(variant(revision, maxNewTokens=4)) | pin(revision)
    own = {"model": "tiny", "revision": REVISION}
    ours = predictor.metric("dialogue_requests_total", **own, outcome="ok")
    assert httpx.post(predictor.url + CHAT, json=HELLO, headers=headers).status_code == 200
    assert httpx.post(predictor.url + CHAT, json=HELLO | {"stream": True}, headers=headers).status_code == 200
    assert httpx.post(predictor.url + CHAT, json=HELLO | {"n": 0}, headers=headers).status_code == 400
    of = {"model": "tiny", "revision": revision}
    assert predictor.metric("dialogue_requests_total", **of, outcome="ok") == 2
    assert predictor.metric("dialogue_requests_total", **of, outcome="client_error") == 1
    assert predictor.metric("dialogue_request_seconds_count", **of) == 2
    assert predictor.metric("dialogue_time_to_first_token_seconds_count", **of) == 1
    assert predictor.metric("dialogue_replies_total", **of, quality="degenerate") == 2, "the tiny model finds no end"
    assert predictor.metric("dialogue_replies_total", **of, quality="sound") == 0
    assert predictor.metric("dialogue_degenerate_replies_total", **of, kind="cut_off") == 2
    assert predictor.metric("dialogue_reply_tokens_sum", **of) == 8
    assert predictor.metric("dialogue_generated_tokens_total", **of) == 8
    assert predictor.metric("dialogue_beam_margin_count", **of) == 2
    assert predictor.metric("dialogue_requests_total", **own, outcome="ok") == ours


@pytest.mark.parametrize("header", ["x-dialogue-arms", "x-dialogue-shadow"])
def test_a_malformed_header_is_left_out_and_logged_once(bundle_folder: Path, tmp_path: Path, header: str) -> None:
    with serving(bundle_folder, tmp_path) as running:
        running.wait_ready()
        for value in ("{", '{"0badcafe": 1}', "{", "0badcafe:0"):
            response = httpx.post(running.url + CHAT, json=HELLO, headers={header: value})
            assert (response.status_code, response.headers["x-dialogue-revision"]) == (200, REVISION)
        assert running.log.read_text().count(f"the header {header} is ignored") == 1


@pytest.mark.parametrize("asks", [{"sec-fetch-site": "same-origin"}, {"x-dialogue-cookie": "1"}])
def test_a_browser_is_pinned_by_a_cookie(client: httpx.Client, asks: dict[str, str]) -> None:
    response = client.post(CHAT, json=HELLO, headers=asks | pin(SHORT))
    morsel = SimpleCookie(response.headers["set-cookie"])["dialogue-revision"]
    assert (morsel.value, morsel["path"], morsel["samesite"], morsel["max-age"]) == (SHORT, "/", "Lax", "3600")
    assert morsel["httponly"]
    client.cookies.clear()
    back = client.post(CHAT, json=HELLO, headers={"cookie": f"theme=dark; dialogue-revision={SHORT}; x=y"})
    assert back.headers["x-dialogue-revision"] == SHORT
    assert "set-cookie" not in back.headers, "nobody else gets one: a client's jar may serve many users"
    both = client.post(CHAT, json=HELLO, headers={"cookie": f"dialogue-revision={SHORT}"} | pin(REVISION))
    assert both.headers["x-dialogue-revision"] == REVISION
    assert "set-cookie" not in client.post(CHAT, json={}, headers=asks).headers


def test_a_process_tells_of_the_sixteen_revisions_that_it_last_heard_of(bundle_folder: Path, tmp_path: Path) -> None:
    with serving(bundle_folder, tmp_path) as running:
        running.wait_ready()
        revisions = [f"{at:08x}" for at in range(20)]
        for revision in revisions:
            headers = arms(variant(revision, maxNewTokens=1)) | pin(revision)
            assert httpx.post(running.url + CHAT, json=HELLO, headers=headers).status_code == 200
        told = [
            revision
            for revision in revisions
            if running.metric("dialogue_requests_total", revision=revision, outcome="ok")
        ]
        assert told == revisions[-15:]
        assert f'revision="{revisions[0]}"' not in httpx.get(f"{running.url}/metrics").text
