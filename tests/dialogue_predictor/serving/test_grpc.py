"""The Open Inference Protocol over gRPC: plain stubs, KServe's own client, and every mistake with its status."""

import json
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest
from grpc import StatusCode as Status
from kserve import InferenceGRPCClient, InferInput, InferRequest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from support.serving import Predictor

WORD = "xyzzysecret"


@pytest.fixture(scope="module")
def channel(predictor: Predictor) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(predictor.target) as channel:
        yield channel


@pytest.fixture(scope="module")
def stub(channel: grpc.Channel) -> Any:
    return GRPCInferenceServiceStub(channel)


def number(value: int) -> Any:
    return pb.InferParameter(int64_param=value)


def word(value: str) -> Any:
    return pb.InferParameter(string_param=value)


def ask(*texts: bytes, name: str = "text", shape: tuple[int, ...] | None = None, **more: Any) -> Any:
    tensor = pb.ModelInferRequest.InferInputTensor(
        name=name,
        datatype=more.pop("datatype", "BYTES"),
        shape=shape or (len(texts),),
        contents=pb.InferTensorContents(bytes_contents=texts),
    )
    values: dict[str, Any] = {
        "model_name": "tiny",
        "inputs": [tensor],
        "parameters": {"numBeams": number(2), "maxNewTokens": number(6)},
    }
    return pb.ModelInferRequest(**(values | more))


def raw(content: bytes, shape: int = 1) -> Any:
    tensor = pb.ModelInferRequest.InferInputTensor(name="text", datatype="BYTES", shape=[shape])
    return pb.ModelInferRequest(model_name="tiny", inputs=[tensor], raw_input_contents=[content])


def test_an_answer_is_the_same_as_over_http(stub: Any, predictor: Predictor) -> None:
    answer = stub.ModelInfer(ask(b"hello there", "便宜的酒店".encode(), id="7"))
    assert (answer.id, answer.model_name, answer.model_version) == ("7", "tiny", "0badcafe")
    assert answer.parameters["revision"].string_param == "0badcafe"
    text, score = answer.outputs
    assert (text.name, text.datatype, list(text.shape)) == ("text", "BYTES", [2])
    body = {"instances": ["hello there", "便宜的酒店"], "parameters": {"numBeams": 2, "maxNewTokens": 6}}
    expected = httpx.post(f"{predictor.url}/v1/models/tiny:predict", json=body).json()["predictions"]
    assert [item.decode() for item in text.contents.bytes_contents] == [each["text"] for each in expected]
    assert list(score.contents.fp32_contents) == pytest.approx([each["score"] for each in expected], rel=1e-5)


def test_dialogues_and_a_penalty_as_text(stub: Any) -> None:
    dialogue = b'[{"role": "user", "content": "hello there"}]'
    plain = stub.ModelInfer(ask(b"hello there"))
    same = stub.ModelInfer(ask(dialogue, name="messages", shape=(1, 1)))
    assert plain.outputs[0].contents == same.outputs[0].contents
    assert list(same.outputs[0].shape) == [1, 1]
    penalised = stub.ModelInfer(
        ask(b"hello there", parameters={"lengthPenalty": word("0.0"), "maxNewTokens": number(6)})
    )
    assert penalised.outputs[1].contents.fp32_contents[0] < plain.outputs[1].contents.fp32_contents[0]


def test_what_protobuf_has_no_type_for_comes_as_text(stub: Any) -> None:
    plain = stub.ModelInfer(ask(b"hello there")).outputs[0].contents.bytes_contents[0].decode()
    beginning = plain.strip()[:2]
    options = {"numBeams": number(2), "maxNewTokens": number(6)}
    bad = word(json.dumps([plain[at : at + 1] for at in range(2) if plain[at : at + 1].strip()]))
    other = stub.ModelInfer(ask(b"hello there", parameters=options | {"badWords": bad}))
    assert not other.outputs[0].contents.bytes_contents[0].decode().startswith(beginning)
    drawn = {"sample": pb.InferParameter(bool_param=True), "temperature": word("2"), "topP": word("0.99")}
    texts = {
        stub.ModelInfer(ask(b"hello there", parameters=options | drawn | {"seed": number(seed)}))
        .outputs[0].contents.bytes_contents[0]
        for seed in (1, 2, 3, 4, 1, 2, 3, 4)
    }  # fmt: skip
    assert 1 < len(texts) <= 4


@pytest.mark.parametrize("header", ["x-dialogue-tenant", "x-dialogue-priority"])
def test_a_caller_that_is_none(stub: Any, header: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(ask(b"hello"), metadata=((header, f"<{WORD}>"),))
    assert caught.value.code() is Status.INVALID_ARGUMENT
    assert caught.value.details().startswith(f"{header}: must be")
    assert WORD not in caught.value.details()


def test_the_revision_and_request_id_come_as_metadata(stub: Any) -> None:
    _, call = stub.ModelInfer.with_call(ask(b"hello"), metadata=(("x-request-id", "abc-1"),))
    metadata = dict(call.initial_metadata())
    assert (metadata["x-dialogue-revision"], metadata["x-request-id"]) == ("0badcafe", "abc-1")


async def test_kserves_own_client(predictor: Predictor) -> None:
    numpy = pytest.importorskip("numpy")
    tensor = InferInput("text", [1], "BYTES")
    tensor.set_data_from_numpy(numpy.array([b"hello there"], dtype=object), binary_data=True)
    async with InferenceGRPCClient(predictor.target) as client:
        assert await client.is_model_ready("tiny")
        answer = await client.infer(InferRequest("tiny", [tensor], parameters={"maxNewTokens": 4}))
    assert answer.get_output_by_name("text").as_numpy().shape == (1,)


def test_probes_and_metadata(stub: Any) -> None:
    assert stub.ServerLive(pb.ServerLiveRequest()).live
    assert stub.ServerReady(pb.ServerReadyRequest()).ready
    assert stub.ModelReady(pb.ModelReadyRequest(name="tiny")).ready
    assert [tensor.name for tensor in stub.ModelMetadata(pb.ModelMetadataRequest(name="tiny")).inputs] == ["text"]
    assert stub.ServerMetadata(pb.ServerMetadataRequest()).name


MISTAKES: list[tuple[str, Any, Status, str]] = [
    ("another model", ask(b"x", model_name=WORD), Status.NOT_FOUND, "tiny"),
    ("no inputs", ask(b"x", inputs=[]), Status.INVALID_ARGUMENT, "inputs"),
    ("two inputs", ask(b"x", inputs=list(ask(b"x").inputs) * 2), Status.INVALID_ARGUMENT, "inputs"),
    ("an unknown input", ask(b"x", name=WORD), Status.INVALID_ARGUMENT, "inputs[0].name"),
    ("another datatype", ask(b"x", datatype="FP32"), Status.INVALID_ARGUMENT, "inputs[0].datatype"),
    ("an unknown datatype", ask(b"x", datatype=WORD), Status.INVALID_ARGUMENT, "inputs[0].datatype"),
    ("a shape that does not fit", ask(b"x", shape=(2,)), Status.INVALID_ARGUMENT, "inputs[0].shape"),
    ("a huge shape", ask(b"x", shape=(2**62, 2**62)), Status.INVALID_ARGUMENT, "inputs[0].shape"),
    ("no data", ask(), Status.INVALID_ARGUMENT, "inputs[0].data"),
    ("an empty text", ask(b" "), Status.INVALID_ARGUMENT, "inputs[0].data[0]"),
    ("an over-long text", ask(WORD.encode() * 500), Status.INVALID_ARGUMENT, "inputs[0].data[0]"),
    ("not UTF-8", ask(b"\xff\xfe"), Status.INVALID_ARGUMENT, "inputs[0].contents[0]"),
    ("a surrogate", ask(b"\xed\xa0\x80"), Status.INVALID_ARGUMENT, "inputs[0].contents[0]"),
    ("a control character", ask(b"\x07" + WORD.encode()), Status.INVALID_ARGUMENT, "inputs[0].data[0]"),
    ("no messages", ask(WORD.encode(), name="messages"), Status.INVALID_ARGUMENT, "inputs[0].data[0]"),
    ("raw data that ends early", raw(b"\x05\x00\x00\x00abc"), Status.INVALID_ARGUMENT, "raw_input_contents[0]"),
    ("a raw length past the end", raw(b"\xff\xff\xff\xffabc"), Status.INVALID_ARGUMENT, "raw_input_contents[0]"),
    ("half a raw length", raw(b"\x05"), Status.INVALID_ARGUMENT, "raw_input_contents[0]"),
    ("more raw strings than the shape", raw(b"\x01\x00\x00\x00a" * 2), Status.INVALID_ARGUMENT, "inputs[0].shape"),
    ("too many raw tensors", ask(b"x", raw_input_contents=[b"", b""]), Status.INVALID_ARGUMENT, "raw_input_contents"),
    ("beams out of range", ask(b"x", parameters={"numBeams": number(99)}), Status.INVALID_ARGUMENT, "numBeams"),
    ("beams as text", ask(b"x", parameters={"numBeams": word("4")}), Status.INVALID_ARGUMENT, "numBeams"),
    ("a penalty of NaN", ask(b"x", parameters={"lengthPenalty": word("nan")}), Status.INVALID_ARGUMENT, "lengthPenalty"),
    ("a temperature of words", ask(b"x", parameters={"sample": pb.InferParameter(bool_param=True), "temperature": word(WORD)}),
     Status.INVALID_ARGUMENT, "parameters.temperature"),
    ("bad words that are no list", ask(b"x", parameters={"badWords": word(WORD)}), Status.INVALID_ARGUMENT, "badWords"),
    ("bad words that are a word", ask(b"x", parameters={"badWords": word('"hi"')}), Status.INVALID_ARGUMENT, "badWords"),
    ("a penalty of words", ask(b"x", parameters={"lengthPenalty": word(WORD)}), Status.INVALID_ARGUMENT, "lengthPenalty"),
    ("an unknown option", ask(b"x", parameters={WORD: number(1)}), Status.INVALID_ARGUMENT, "parameters"),
    ("an option of no kind", ask(b"x", parameters={"numBeams": pb.InferParameter()}), Status.INVALID_ARGUMENT, "parameters"),
    ("an unknown output", ask(b"x", outputs=[pb.ModelInferRequest.InferRequestedOutputTensor(name=WORD)]),
     Status.INVALID_ARGUMENT, "outputs[0].name"),
    ("an over-long id", ask(b"x", id=WORD * 20), Status.INVALID_ARGUMENT, "id"),
    ("256 KiB", ask(b"x" * 300_000), Status.RESOURCE_EXHAUSTED, ""),
    ("9 MiB", ask(b"x" * 9 * 2**20), Status.RESOURCE_EXHAUSTED, ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("message", "status", "field"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES]
)
def test_a_mistake_has_its_status(stub: Any, message: Any, status: Status, field: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(message)
    assert caught.value.code() is status, caught.value.details()
    assert field in caught.value.details()
    assert WORD not in caught.value.details()


def test_bytes_that_are_no_protobuf(channel: grpc.Channel) -> None:
    call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"\xff\xff\xff")
    assert caught.value.code() is Status.INVALID_ARGUMENT


def test_the_model_cannot_be_unloaded(stub: Any) -> None:
    for method, message in (
        (stub.RepositoryModelUnload, pb.RepositoryModelUnloadRequest(model_name="tiny")),
        (stub.RepositoryModelLoad, pb.RepositoryModelLoadRequest(model_name="tiny")),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            method(message)
        assert caught.value.code() is Status.UNIMPLEMENTED
    assert stub.ModelReady(pb.ModelReadyRequest(name="tiny")).ready


def test_another_model_is_not_ready(stub: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelReady(pb.ModelReadyRequest(name="other"))
    assert caught.value.code() is Status.NOT_FOUND


def test_an_unknown_method(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/inference.GRPCInferenceService/Nothing")(b"")
    assert caught.value.code() is Status.UNIMPLEMENTED
