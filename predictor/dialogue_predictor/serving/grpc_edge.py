"""KServe's gRPC service behind the same limits as HTTP, with a status code for each mistake.

KServe's own interceptors answer client mistakes with INTERNAL or UNKNOWN and log payload-bearing exceptions; they are
replaced by one that admits, bounds, maps and names the revision.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from time import perf_counter
from typing import Any

import grpc
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from grpc import aio
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.protocol.model_repository_extension import ModelRepositoryExtension

from dialogue_predictor import names
from dialogue_predictor.errors import InvalidRequest, LoadFailed
from dialogue_predictor.serving.calls import HEADER_REQUEST_ID, HEADER_TIMEOUT, Admission, Call, request_id_of
from dialogue_predictor.serving.codecs.callers import read_caller
from dialogue_predictor.serving.codecs.v2 import read_grpc
from dialogue_predictor.serving.limits import Limits
from dialogue_predictor.serving.metrics import Metrics
from dialogue_predictor.serving.model import StrictPlane
from dialogue_predictor.serving.problems import REFUSED_UNLOAD, Outcome, Problem, problem_of
from dialogue_predictor.serving.reception import Assigned, Reception, current

INFER = "/inference.GRPCInferenceService/ModelInfer"
REPOSITORY = "/inference.GRPCInferenceService/Repository"
Handle = Callable[[Any, Any], Awaitable[Any]]


class Servicer(InferenceServicer):  # type: ignore[misc]  # kserve is untyped
    """KServe's service, but tensors are read by our codec, and readiness is the model's."""

    def __init__(self, plane: StrictPlane, answers_ready: Callable[[], bool]) -> None:
        super().__init__(plane, ModelRepositoryExtension(model_registry=plane.model_registry))
        self._ready = answers_ready

    async def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        response = await super().ServerReady(request, context)
        response.ready = self._ready()
        return response

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._data_plane.get_model(request.model_name)
        metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        tensors = read_grpc(request, request_id_of(metadata.get(HEADER_REQUEST_ID)))
        response, _ = await self._data_plane.infer(request.model_name, tensors, metadata)
        return response.to_grpc()


class Gate(aio.ServerInterceptor):  # type: ignore[misc]
    def __init__(self, admission: Admission, metrics: Metrics, reception: Reception) -> None:
        self._admission = admission
        self._metrics = metrics
        self._reception = reception

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = await continuation(details)
        if handler is None:
            return None
        metadata = {key: value for key, value in details.invocation_metadata if isinstance(value, str)}
        request_id = request_id_of(metadata.get(HEADER_REQUEST_ID))
        inner: Handle = handler.unary_unary

        async def handle(raw: bytes, context: Any) -> Any:
            infers = details.method == INFER
            assigned = self._reception.assign(metadata) if infers else Assigned(self._reception.own)
            current.set(assigned)
            headers = ((names.HEADER_REVISION, assigned.arm.revision), (HEADER_REQUEST_ID, request_id))
            await context.send_initial_metadata(headers)

            async def decoded() -> Any:
                return await inner(_decode(handler.request_deserializer, raw), context)

            if details.method.startswith(REPOSITORY):
                return await _abort(context, REFUSED_UNLOAD)
            if infers:
                return await self._infer(decoded, metadata, request_id, context)
            try:
                return await decoded()
            except Exception as error:
                return await _abort(context, problem_of(error))

        # the request stays bytes here, so that malformed protobuf is told apart from our own failures
        return grpc.unary_unary_rpc_method_handler(handle, None, handler.response_serializer)

    async def _infer(
        self, decoded: Callable[[], Awaitable[Any]], metadata: dict[str, str], request_id: str, context: Any
    ) -> Any:
        started = perf_counter()
        outcome: Outcome = "cancelled"  # what it is when the client goes, or its own deadline passes
        call: Call | None = None
        try:
            current.set(replace(current.get(), caller=read_caller(metadata)))
            with self._admission.admit(request_id, metadata.get(HEADER_TIMEOUT)) as call, self._metrics.active():
                async with call.limit():
                    response = await decoded()
            outcome = "ok"
            return response
        except Exception as error:
            problem = problem_of(error)
            outcome = problem.outcome
            if call is not None:
                call.failed(problem)
                outcome = call.outcome
        finally:
            self._metrics.of(current.get().arm.revision).request(outcome, perf_counter() - started)
        return await _abort(context, problem)


async def _abort(context: Any, problem: Problem) -> None:
    await context.abort(grpc.StatusCode[problem.grpc], problem.message, problem.headers)


def _decode(deserialize: Callable[[bytes], Any], raw: bytes) -> Any:
    try:
        return deserialize(raw)
    except DecodeError:
        raise InvalidRequest("", "the message is not valid protobuf") from None


def grpc_server(servicer: Servicer, gate: Gate, address: str, limits: Limits) -> aio.Server:
    """Bound to `address`, not started. Raises LoadFailed when the port is taken."""
    server = aio.server(
        interceptors=(gate,),
        options=(
            ("grpc.max_receive_message_length", limits.body_bytes),
            ("grpc.max_metadata_size", limits.head_bytes // 2),
            ("grpc.so_reuseport", 0),
        ),
    )
    add_GRPCInferenceServiceServicer_to_server(servicer, server)
    try:
        bound = server.add_insecure_port(address)
    except RuntimeError:
        bound = 0
    if not bound:
        raise LoadFailed(f"cannot listen on {address}; choose another with --grpc-port")
    return server
