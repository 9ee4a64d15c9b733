"""From the first socket to the last answer: not ready while loading, and nothing lost on SIGTERM."""

from pathlib import Path

import grpc
import httpx
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from support.serving import HELLO, served, serving

LONG = HELLO | {"stream": True, "max_tokens": 256}


def infer_request(tokens: int) -> "pb.ModelInferRequest":
    tensor = pb.ModelInferRequest.InferInputTensor(
        name="text", datatype="BYTES", shape=[1], contents=pb.InferTensorContents(bytes_contents=[b"hello there"])
    )
    parameters = {"maxNewTokens": pb.InferParameter(int64_param=tokens), "numBeams": pb.InferParameter(int64_param=16)}
    return pb.ModelInferRequest(model_name="tiny", inputs=[tensor], parameters=parameters)


def test_while_loading_it_lives_but_is_not_ready(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    with served(tmp_path, backend="hangs", loads_when=str(bundle)) as running:
        running.wait_for("/livez", 200)
        assert httpx.get(f"{running.url}/v2/models/tiny/ready").status_code == 503
        assert httpx.get(f"{running.url}/v2/health/ready").status_code == 503
        response = httpx.post(f"{running.url}/v1/chat/completions", json=HELLO)
        assert (response.status_code, response.json()["error"]["code"]) == (503, "not_ready")
        assert httpx.post(f"{running.url}/v1/models/tiny:predict", json={"instances": ["hi"]}).status_code == 503
        with grpc.insecure_channel(running.target) as channel:
            stub = GRPCInferenceServiceStub(channel)
            assert not stub.ServerReady(pb.ServerReadyRequest()).ready
            with pytest.raises(grpc.RpcError) as caught:
                stub.ModelInfer(infer_request(1))
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert running.metric("dialogue_backend_up") == 0
        bundle.touch()
        running.wait_ready()
        assert running.metric("dialogue_backend_up") == 1
        assert running.metric("dialogue_requests_total", outcome="server_error") == 0


def test_sigterm_finishes_what_is_in_flight_over_http_and_grpc(tmp_path: Path, bundle_folder: Path) -> None:
    with serving(bundle_folder, tmp_path) as running:
        running.wait_ready()
        with grpc.insecure_channel(running.target) as channel:
            stub = GRPCInferenceServiceStub(channel)
            with httpx.stream("POST", f"{running.url}/v1/chat/completions", json=LONG, timeout=30) as response:
                lines = response.iter_lines()
                first = next(lines)
                over_grpc = stub.ModelInfer.future(infer_request(256))
                while running.metric("dialogue_active_conversations") < 2:
                    pass
                running.terminate()
                rest = [line for line in lines if line]
            assert first.startswith("data: ")
            assert rest[-1] == "data: [DONE]"
            assert over_grpc.result(timeout=30).outputs[0].name == "text"
        assert running.end() == 0
        assert "draining 2 requests" in running.log.read_text()


def test_after_sigterm_nobody_new_is_let_in_and_nobody_holds_up_the_end(tmp_path: Path) -> None:
    limits = {"drain_seconds": 60.0, "drain_margin_seconds": 59.0}  # a second for those in flight
    with served(tmp_path, backend="hangs later", limits=limits) as running, httpx.Client() as idle:
        running.wait_ready()
        assert idle.get(f"{running.url}/livez").status_code == 200  # and keeps its connection
        with httpx.stream("POST", f"{running.url}/v1/chat/completions", json=LONG, timeout=30) as response:
            lines = response.iter_lines()
            next(lines)
            running.terminate()
            while "draining" not in running.log.read_text():
                pass
            with grpc.insecure_channel(running.target) as channel, pytest.raises(grpc.RpcError) as caught:
                GRPCInferenceServiceStub(channel).ServerLive(pb.ServerLiveRequest())
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            rest = [line for line in lines if line]
        assert "deadline_exceeded" in rest[-1], "a stream that cannot end well ends with a typed error"
        assert running.process.wait(15) == 0


def test_sigterm_while_loading_ends_with_the_loading(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    with served(tmp_path, backend="hangs", loads_when=str(bundle)) as running:
        running.wait_for("/livez", 200)
        running.terminate()
        bundle.touch()
        assert running.end() == 0


def test_a_second_signal_ends_requests_in_flight(tmp_path: Path) -> None:
    with served(tmp_path, backend="hangs later") as running:
        running.wait_ready()
        with httpx.stream("POST", f"{running.url}/v1/chat/completions", json=LONG, timeout=30) as response:
            lines = response.iter_lines()
            next(lines)
            running.terminate()
            while "draining" not in running.log.read_text():
                pass
            running.terminate()
            assert "deadline_exceeded" in [line for line in lines if line][-1]
        assert running.end() == 0
