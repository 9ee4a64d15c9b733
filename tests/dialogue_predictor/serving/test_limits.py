"""The bounds on what a client may take: size, time and number, over raw sockets where a client would misbehave."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import grpc
import httpx
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from support.serving import HELLO, Predictor, served

SMALL = {"body_seconds": 0.5, "head_seconds": 0.5, "in_flight": 2, "request_seconds": 2.0}
HANGS = {"backend": "hangs", "limits": SMALL}


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    """Small limits, and a backend that never answers."""
    with served(tmp_path_factory.mktemp("strict"), **HANGS) as running:
        running.wait_ready()
        yield running


def connect(predictor: Predictor) -> socket.socket:
    return socket.create_connection(("127.0.0.1", predictor.http_port), timeout=10)


def head(*lines: str) -> bytes:
    start = ("POST /v1/chat/completions HTTP/1.1", "host: x", "content-type: application/json", *lines, "", "")
    return "\r\n".join(start).encode()


def answer(wire: socket.socket) -> tuple[int, dict[str, Any]]:
    """Status and JSON of the next response; status 0 when the connection ended without one."""
    with wire.makefile("rb") as file:
        start = file.readline().split()
        if not start:
            return 0, {}
        size = 0
        while line := file.readline().strip():
            if line.lower().startswith(b"content-length:"):
                size = int(line.split(b":")[1])
        return int(start[1]), json.loads(file.read(size)) if size else {}


def flood(wire: socket.socket, chunk: bytes, times: int) -> None:
    try:
        for _ in range(times):
            wire.sendall(chunk)
    except OSError:
        pass  # the server has had enough


def test_a_hundred_megabytes_are_refused_without_being_kept(predictor: Predictor) -> None:
    before = predictor.rss_bytes()
    with closing(connect(predictor)) as wire:
        wire.sendall(head("content-length: 100000000"))
        sender = threading.Thread(target=flood, args=(wire, b"x" * 1_000_000, 100))
        sender.start()
        status, told = answer(wire)
        sender.join()
    assert (status, told["error"]["code"]) == (413, "too_large")
    assert predictor.rss_bytes() - before < 16 * 2**20


def test_a_hundred_megabytes_in_chunks_are_refused_too(predictor: Predictor) -> None:
    before = predictor.rss_bytes()
    with closing(connect(predictor)) as wire:
        wire.sendall(head("transfer-encoding: chunked"))
        sender = threading.Thread(target=flood, args=(wire, b"f4240\r\n" + b"x" * 1_000_000 + b"\r\n", 100))
        sender.start()
        status, _ = answer(wire)
        sender.join()
    assert status == 413
    assert predictor.rss_bytes() - before < 16 * 2**20


def test_the_largest_body_still_fits(predictor: Predictor) -> None:
    body = json.dumps({"instances": ["hi"], "parameters": {"maxNewTokens": 1}}).ljust(256 * 1024)
    assert httpx.post(f"{predictor.url}/v1/models/tiny:predict", content=body).status_code == 200
    assert httpx.post(f"{predictor.url}/v1/models/tiny:predict", content=body + " ").status_code == 413


def test_a_body_that_dawdles_is_a_408(strict: Predictor) -> None:
    with closing(connect(strict)) as wire:
        wire.sendall(head("content-length: 100") + b"{")
        status, told = answer(wire)
    assert (status, told["error"]["code"]) == (408, "too_slow")


def test_a_body_that_never_ends_after_its_answer_is_cut_off(strict: Predictor) -> None:
    with closing(connect(strict)) as wire:
        wire.sendall(head("content-length: 100000000"))
        assert answer(wire)[0] == 413
        assert wire.recv(1) == b"", "the connection must be closed"


@pytest.mark.parametrize("said", [b"", b"POST /v1/chat", head()[:-2]], ids=["nothing", "half a line", "half a head"])
def test_a_head_that_dawdles_is_cut_off(strict: Predictor, said: bytes) -> None:
    with closing(connect(strict)) as wire:
        wire.sendall(said)
        started = time.monotonic()
        assert wire.recv(1) == b""
    assert time.monotonic() - started < 5


def test_the_second_head_of_a_connection_may_not_dawdle_either(strict: Predictor) -> None:
    with closing(connect(strict)) as wire:
        wire.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
        assert answer(wire)[0] == 200
        wire.sendall(b"GET /livez HTTP/1.1\r\n")
        assert wire.recv(1) == b""


def test_a_head_without_end_is_a_431(predictor: Predictor) -> None:
    with closing(connect(predictor)) as wire:
        sender = threading.Thread(target=flood, args=(wire, b"GET / HTTP/1.1\r\nx: " + b"x" * 1_000_000, 10))
        sender.start()
        status = int((wire.recv(100).split() or [b"", b"431"])[1])
        sender.join()
    assert status == 431


def test_garbage_is_a_400(predictor: Predictor) -> None:
    with closing(connect(predictor)) as wire:
        wire.sendall(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
        assert wire.recv(100).startswith(b"HTTP/1.1 400 ")


def test_one_request_too_many_is_a_429_that_says_when_to_come_back(strict: Predictor) -> None:
    with ExitStack() as stack:
        wires = [stack.enter_context(closing(connect(strict))) for _ in range(2)]
        body = json.dumps(HELLO).encode()
        for wire in wires:
            wire.sendall(head(f"content-length: {len(body)}") + body)
        while strict.metric("dialogue_active_conversations") < 2:
            pass
        response = httpx.post(f"{strict.url}/v1/chat/completions", json=HELLO)
        assert response.status_code == 429
        assert response.headers["retry-after"] == "1"
        assert response.json()["error"]["type"] == "rate_limit_error"
        assert httpx.get(f"{strict.url}/v2/models/tiny/ready").status_code == 200, "probes are not capped"
    while strict.metric("dialogue_active_conversations"):
        pass


def test_a_deadline_is_a_504(strict: Predictor) -> None:
    late = strict.metric("dialogue_requests_total", outcome="server_error")
    started = time.monotonic()
    response = httpx.post(f"{strict.url}/v1/models/tiny:predict", json={"instances": ["hi"]}, timeout=10)
    assert (response.status_code, response.json()["code"]) == (504, "deadline_exceeded")
    assert 1.5 < time.monotonic() - started < 5
    assert strict.metric("dialogue_requests_total", outcome="server_error") == late + 1


def ask_grpc(stub: Any, **options: Any) -> Any:
    tensor = pb.ModelInferRequest.InferInputTensor(
        name="text", datatype="BYTES", shape=[1], contents=pb.InferTensorContents(bytes_contents=[b"hi"])
    )
    return stub.ModelInfer.future(pb.ModelInferRequest(model_name="tiny", inputs=[tensor]), **options)


def test_the_same_bounds_hold_over_grpc(strict: Predictor) -> None:
    cancelled = strict.metric("dialogue_requests_total", outcome="cancelled")
    with grpc.insecure_channel(strict.target) as channel:
        stub = GRPCInferenceServiceStub(channel)
        late = ask_grpc(stub)
        leaving = ask_grpc(stub)
        while strict.metric("dialogue_active_conversations") < 2:
            pass
        one_too_many = ask_grpc(stub).exception()
        assert one_too_many.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert dict(one_too_many.trailing_metadata())["retry-after"] == "1"
        leaving.cancel()
        assert late.exception().code() is grpc.StatusCode.DEADLINE_EXCEEDED
        hurried = ask_grpc(stub, timeout=0.2).exception()
        assert hurried.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        lowered = ask_grpc(stub, metadata=(("x-request-timeout", "0.2"),)).exception()
        assert lowered.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        wrong = ask_grpc(stub, metadata=(("x-request-timeout", "soon"),)).exception()
        assert wrong.code() is grpc.StatusCode.INVALID_ARGUMENT
    while strict.metric("dialogue_requests_total", outcome="cancelled") < cancelled + 3:
        pass


def test_a_client_can_lower_its_deadline_and_is_not_held_against_us(strict: Predictor) -> None:
    cancelled = strict.metric("dialogue_requests_total", outcome="cancelled")
    started = time.monotonic()
    headers = {"x-request-timeout": "0.2"}
    for path, body in (("/v1/models/tiny:predict", {"instances": ["hi"]}), ("/v1/chat/completions", HELLO)):
        assert httpx.post(strict.url + path, json=body, headers=headers).status_code == 504
    assert time.monotonic() - started < 1.5
    assert strict.metric("dialogue_requests_total", outcome="cancelled") == cancelled + 2


def test_a_client_cannot_raise_its_deadline(strict: Predictor) -> None:
    started = time.monotonic()
    headers = {"x-request-timeout": "600"}
    assert httpx.post(f"{strict.url}/v1/chat/completions", json=HELLO, headers=headers, timeout=10).status_code == 504
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_takes_its_work_along(strict: Predictor, stream: bool) -> None:
    cancelled = strict.metric("dialogue_requests_total", outcome="cancelled")
    body = json.dumps(HELLO | {"stream": stream}).encode()
    with closing(connect(strict)) as wire:
        wire.sendall(head(f"content-length: {len(body)}") + body)
        while not strict.metric("dialogue_active_conversations"):
            pass
    while strict.metric("dialogue_active_conversations"):
        pass
    assert strict.metric("dialogue_requests_total", outcome="cancelled") == cancelled + 1


def test_a_client_that_leaves_a_real_stream_frees_the_model(predictor: Predictor) -> None:
    cancelled = predictor.metric("dialogue_requests_total", outcome="cancelled")
    body = json.dumps(HELLO | {"stream": True, "max_tokens": 256}).encode()
    with closing(connect(predictor)) as wire:
        wire.sendall(head(f"content-length: {len(body)}") + body)
        wire.recv(100)
    while predictor.metric("dialogue_requests_total", outcome="cancelled") == cancelled:
        pass
    while predictor.metric("dialogue_pending_tokens"):
        pass
