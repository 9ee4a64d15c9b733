"""A backend that breaks: one opaque answer with a request id, and nothing of the exception outside the log."""

from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import openai
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from dialogue_predictor.artifacts.bundle import locate
from dialogue_predictor.artifacts.overflow import QUESTIONS
from dialogue_predictor.artifacts.spoil import spoil
from support.serving import HELLO, Predictor, served, serving

TENSOR = {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["hi"]}
ASKED: list[tuple[str, dict[str, Any]]] = [
    ("/v1/models/tiny:predict", {"instances": ["hi"]}),
    ("/v1/models/tiny:predict", {"instances": ["hi", "there"]}),
    ("/v2/models/tiny/infer", {"inputs": [TENSOR]}),
    ("/v1/chat/completions", HELLO),
    ("/v1/chat/completions", HELLO | {"stream": True}),
]


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    """Every request fails; a stream fails after its first words."""
    with served(tmp_path_factory.mktemp("broken"), backend="crashes later", limits={"request_seconds": 2.0}) as running:
        running.wait_ready()
        yield running


def ask_grpc(predictor: Predictor, text: str = "hi") -> grpc.RpcError:
    tensor = pb.ModelInferRequest.InferInputTensor(
        name="text", datatype="BYTES", shape=[1], contents=pb.InferTensorContents(bytes_contents=[text.encode()])
    )
    with grpc.insecure_channel(predictor.target) as channel, pytest.raises(grpc.RpcError) as caught:
        GRPCInferenceServiceStub(channel).ModelInfer(pb.ModelInferRequest(model_name="tiny", inputs=[tensor]))
    return caught.value


@pytest.mark.parametrize(("path", "body"), ASKED[:-1])
def test_a_crash_is_an_opaque_500(broken: Predictor, path: str, body: dict[str, Any]) -> None:
    response = httpx.post(broken.url + path, json=body, headers={"x-request-id": "find-me"})
    assert response.status_code == 500
    assert response.json()["request_id"] == "find-me"
    assert "secret" not in response.text
    assert "RuntimeError" not in response.text
    log = broken.log.read_text()
    assert "request find-me failed: RuntimeError" in log
    assert "leaked by an exception" not in log, "an exception's text may quote a user"


def test_a_crash_is_internal_over_grpc(broken: Predictor) -> None:
    error = ask_grpc(broken)
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in error.details()


def test_a_crash_in_mid_stream_ends_with_a_typed_error(broken: Predictor) -> None:
    failed = broken.metric("dialogue_requests_total", outcome="server_error")
    with openai.OpenAI(base_url=f"{broken.url}/v1", api_key="none", max_retries=0) as client:
        stream = client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "hi"}], stream=True)
        with stream, pytest.raises(openai.APIError) as caught:
            list(stream)
    assert caught.value.code == "internal"
    assert broken.metric("dialogue_requests_total", outcome="server_error") == failed + 1


def test_the_metrics_say_that_the_backend_is_down(broken: Predictor) -> None:
    httpx.post(broken.url + ASKED[0][0], json=ASKED[0][1])
    assert broken.metric("dialogue_backend_up") == 0
    assert broken.metric("dialogue_active_conversations") == 0


def test_a_deadline_in_mid_stream_ends_with_a_typed_error(tmp_path: Any) -> None:
    with served(tmp_path, backend="hangs later", limits={"request_seconds": 0.5}) as running:
        running.wait_ready()
        with httpx.stream("POST", f"{running.url}/v1/chat/completions", json=HELLO | {"stream": True}) as response:
            assert response.status_code == 200
            lines = [line for line in response.iter_lines() if line]
        assert '"content"' in lines[0]
        assert "deadline_exceeded" in lines[-1]
        assert ask_grpc(running).code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_bundle_that_overflows_fails_some_requests_and_answers_the_others(tmp_path: Any) -> None:
    """All the way: a bad bundle that was published like any other, over HTTP and gRPC, counted as our own fault."""
    spoilt = spoil(locate("builtin://default"), tmp_path / "erroring", "erroring")
    with serving(spoilt.folder, tmp_path) as running:
        running.wait_ready()
        statuses = []
        for question in QUESTIONS[:15]:
            body = {"model": "tiny", "messages": [{"role": "user", "content": question}]}
            response = httpx.post(f"{running.url}/v1/chat/completions", json=body)
            statuses.append(response.status_code)
            if response.status_code == 500:
                assert response.json()["error"]["code"] == "internal"
                failing = question
        assert set(statuses) == {200, 500}
        assert running.metric("dialogue_requests_total", outcome="server_error") == statuses.count(500)
        assert running.metric("dialogue_requests_total", outcome="ok") == statuses.count(200)
        assert ask_grpc(running, failing).code() is grpc.StatusCode.INTERNAL
