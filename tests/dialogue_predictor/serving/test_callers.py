"""Who asks comes with every request, over HTTP and gRPC, as far as the backend's queue."""

from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
from grpc import aio
from kserve import InferRequest, InferResponse
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub
from prometheus_client import CollectorRegistry

from dialogue_predictor.backends.base import GenerationRequest, Part
from dialogue_predictor.config.spec import Generation
from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.decoding.outcome import Hypothesis, Outcome
from dialogue_predictor.errors import InvalidRequest
from dialogue_predictor.inference.engine import DialogueEngine
from dialogue_predictor.inference.request import ReplyRequest
from dialogue_predictor.serving.answers import Answers
from dialogue_predictor.serving.arms import Arm
from dialogue_predictor.serving.calls import Admission
from dialogue_predictor.serving.codecs.callers import Caller, read_caller
from dialogue_predictor.serving.grpc_edge import Gate, Servicer, grpc_server
from dialogue_predictor.serving.guard import Guard, Receive, Scope, Send
from dialogue_predictor.serving.limits import Limits
from dialogue_predictor.serving.metrics import Metrics
from dialogue_predictor.serving.model import FixedRepository
from dialogue_predictor.serving.reception import Assigned, Reception, current
from dialogue_predictor.serving.shadow import Mirror
from dialogue_predictor.text.dialogue import Turn
from support.serving import HELLO, free_port
from support.tiny_bundles import tiny_tokenizer

OWN = Arm("0badcafe", Generation())
ACME = {"x-dialogue-tenant": "acme", "x-dialogue-priority": "-3"}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry(), "tiny", "0badcafe")


@pytest.mark.parametrize(
    ("headers", "caller"),
    [
        ({}, Caller()),
        ({"x-dialogue-tenant": ""}, Caller()),
        (ACME, Caller("acme", -3)),
        ({"x-dialogue-tenant": "team-7.example.com:a@b_c"}, Caller("team-7.example.com:a@b_c")),
        ({"x-dialogue-priority": "10"}, Caller(priority=10)),
        ({"x-dialogue-priority": "-10"}, Caller(priority=-10)),
    ],
)
def test_headers_name_the_caller(headers: dict[str, str], caller: Caller) -> None:
    assert read_caller(headers) == caller


@pytest.mark.parametrize("priority", ["", "11", "-11", "1e1", "+1", "--1", "\u0663", "1\n"])
def test_a_priority_out_of_range_is_refused(priority: str) -> None:
    with pytest.raises(InvalidRequest, match="x-dialogue-priority: must be an integer from -10 to 10"):
        read_caller({"x-dialogue-priority": priority})


async def test_over_http(metrics: Metrics) -> None:
    callers: list[Caller] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        callers.append(current.get().caller)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    guard = Guard(app, Admission(1, 9.0), metrics, Reception(OWN, metrics), Limits())

    async def server(scope: Scope, receive: Receive, send: Send) -> None:
        await guard({**scope, "state": {}}, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(server), base_url="http://test") as client:
        for headers in (ACME, {}):
            assert (await client.post("/v1/chat/completions", json=HELLO, headers=headers)).status_code == 200
    assert callers == [Caller("acme", -3), Caller()]


async def test_over_grpc(metrics: Metrics) -> None:
    callers: list[Caller] = []

    class Plane:
        model_registry = FixedRepository()

        async def get_model(self, name: str) -> None: ...

        async def infer(self, name: str, request: InferRequest, headers: Any) -> tuple[InferResponse, None]:
            callers.append(current.get().caller)
            return InferResponse(request.id, name, []), None

    address = f"127.0.0.1:{free_port()}"
    gate = Gate(Admission(1, 9.0), metrics, Reception(OWN, metrics))
    server = grpc_server(Servicer(Plane(), lambda: True), gate, address, Limits())  # type: ignore[arg-type]
    await server.start()
    message = pb.ModelInferRequest(model_name="tiny")
    message.inputs.add(name="text", datatype="BYTES", shape=[1]).contents.bytes_contents.append(b"hi")
    async with aio.insecure_channel(address) as channel:
        for metadata in (tuple(ACME.items()), ()):
            await GRPCInferenceServiceStub(channel).ModelInfer(message, metadata=metadata)
    await server.stop(0)
    assert callers == [Caller("acme", -3), Caller()]


class Desk:
    """A backend that writes down what it is asked."""

    pending_tokens = 0

    def __init__(self) -> None:
        self.asked: list[GenerationRequest] = []

    async def warm_up(self, options: GenerationOptions) -> None: ...

    async def generate(self, request: GenerationRequest) -> Outcome:
        self.asked.append(request)
        return Outcome((Hypothesis((), -1.0, complete=True),))

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Part, None]:
        yield Part((), await self.generate(request))

    async def drain(self) -> None: ...

    async def close(self) -> None: ...


async def test_as_far_as_the_backend(metrics: Metrics) -> None:
    desk = Desk()
    answers = Answers(metrics, Mirror("tiny", metrics))
    answers.open(DialogueEngine(desk, tiny_tokenizer(), max_turns=4, positions=64))
    assigned = Assigned(OWN, caller=read_caller(ACME))
    request = ReplyRequest((Turn("user", "hello"),), OWN.generation)
    await answers.reply([request, request], assigned)
    async for _ in answers.stream(request, assigned):
        pass
    assert [(each.tenant, each.priority) for each in desk.asked] == [("acme", -3)] * 3
