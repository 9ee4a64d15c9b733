"""Ask a DialogueModel through the gateway, over HTTP and gRPC, as any client would."""

import http.client
import json
from dataclasses import dataclass
from typing import Any

import grpc
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

REVISION = "x-dialogue-revision"
COOKIE = "dialogue-revision"
TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Place:
    """Where one DialogueModel answers: the gateway's address and the hosts of its two routes."""

    gateway: str
    model: str
    http_host: str
    grpc_host: str


@dataclass(frozen=True)
class Reply:
    text: str
    revision: str


class RequestFailed(Exception):
    """Anything but a reply: the status, or the name of what broke."""


class HttpClient:
    """One keep-alive connection; no retries, so that every failure is seen."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.connection = http.client.HTTPConnection(place.gateway, timeout=TIMEOUT_SECONDS)

    def ask(
        self, messages: list[dict[str, str]], pin: str | None = None, cookie: str | None = None, **options: Any
    ) -> Reply:
        body = json.dumps({"model": self.place.model, "messages": messages, **options})
        headers = {"Host": self.place.http_host, "Content-Type": "application/json"} | ({REVISION: pin} if pin else {})
        if cookie is not None:  # as a browser sends it, with whatever else it holds
            headers |= {"Cookie": f"theme=dark; {COOKIE}={cookie}; lang=en", "Sec-Fetch-Site": "same-origin"}
        try:
            self.connection.request("POST", "/v1/chat/completions", body=body, headers=headers)
            response = self.connection.getresponse()
            data = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            raise RequestFailed(type(error).__name__) from error
        if response.status != 200:
            raise RequestFailed(f"HTTP {response.status}")
        text = json.loads(data)["choices"][0]["message"]["content"]
        return Reply(text, response.headers.get(REVISION, ""))

    def close(self) -> None:
        self.connection.close()


class GrpcClient:
    """Open Inference Protocol v2: text in, text out."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.channel = grpc.insecure_channel(place.gateway, options=(("grpc.default_authority", place.grpc_host),))
        self.stub = GRPCInferenceServiceStub(self.channel)

    def ask(self, text: str, pin: str | None = None, **options: int) -> Reply:
        request = pb.ModelInferRequest(model_name=self.place.model)
        tensor = request.inputs.add(name="text", datatype="BYTES", shape=[1])
        tensor.contents.bytes_contents.append(text.encode())
        for name, value in options.items():
            request.parameters[name].int64_param = value
        try:
            answer, call = self.stub.ModelInfer.with_call(
                request, timeout=TIMEOUT_SECONDS, metadata=((REVISION, pin),) if pin else ()
            )
        except grpc.RpcError as error:
            raise RequestFailed(f"gRPC {error.code().name}") from error
        metadata = dict(call.initial_metadata())
        return Reply(_first_text(answer), metadata.get(REVISION, ""))

    def close(self) -> None:
        self.channel.close()


def _first_text(answer: pb.ModelInferResponse) -> str:
    index = next(i for i, output in enumerate(answer.outputs) if output.name == "text")
    if answer.raw_output_contents:  # length-prefixed bytes
        raw = answer.raw_output_contents[index]
        return bytes(raw[4 : 4 + int.from_bytes(raw[:4], "little")]).decode()
    return bytes(answer.outputs[index].contents.bytes_contents[0]).decode()
