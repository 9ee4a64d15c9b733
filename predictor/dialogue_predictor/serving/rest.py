"""KServe's REST server around an application of our own making.

Its class registers the v1 and v2 routes; what is changed is the application they go into, the errors they answer
with, the sockets, and who handles signals.
"""

import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from kserve import errors as kserve_errors
from kserve.protocol.model_repository_extension import ModelRepositoryExtension
from kserve.protocol.rest.server import RESTServer
from starlette.exceptions import HTTPException

from dialogue_predictor.errors import InvalidRequest, NotReady, RequestError
from dialogue_predictor.serving.connection import patient
from dialogue_predictor.serving.guard import App
from dialogue_predictor.serving.limits import Limits
from dialogue_predictor.serving.model import StrictPlane
from dialogue_predictor.serving.problems import NO_SUCH_PATH, REFUSED_UNLOAD, Problem, body_of, problem_of

KEEP_ALIVE_SECONDS = 65  # longer than a gateway's, so that it is the gateway who closes


class Server(uvicorn.Server):
    """uvicorn's server without its signal handlers: ours drain HTTP and gRPC together."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Rest(RESTServer):  # type: ignore[misc]  # kserve is untyped
    """`application()` gives the routes; `serve` runs what was made of them until `stop`."""

    def __init__(self, plane: StrictPlane, limits: Limits) -> None:
        extension = ModelRepositoryExtension(model_registry=plane.model_registry)
        grace = int(limits.drain_seconds)
        super().__init__("", plane, extension, 0, grace_period=grace, timeout_keep_alive=KEEP_ALIVE_SECONDS)
        config = self.config
        config.http = patient(limits)
        config.ws = "none"
        config.lifespan = "off"
        config.proxy_headers = False
        config.access_log = False
        config.server_header = False
        self._server = Server(config)

    def application(self, first: FastAPI) -> FastAPI:
        """KServe's routes after those that `first` has."""
        self._register_endpoints(first)
        self._add_exception_handlers(first)
        return first

    def _add_exception_handlers(self, app: FastAPI) -> None:
        kinds = (
            RequestError,
            RequestValidationError,
            HTTPException,
            NotImplementedError,
            kserve_errors.InvalidInput,
            kserve_errors.InferenceError,
            kserve_errors.ModelNotReady,
            Exception,
        )
        for kind in kinds:
            app.add_exception_handler(kind, answer_error)

    async def serve(self, app: App, listener: socket.socket) -> None:
        self.config.app = app
        await self._server.serve(sockets=[listener])

    def stop(self) -> None:
        self._server.should_exit = True


async def answer_error(request: Request, error: Exception) -> Response:
    request_id = request.state.request_id
    problem = _problem(error)
    call = getattr(request.state, "call", None)
    if call is not None:
        call.failed(problem)
    return Response(
        body_of(problem, request_id, request.url.path),
        problem.status,
        headers=dict(problem.headers),
        media_type="application/json",
    )


def _problem(error: Exception) -> Problem:
    if isinstance(error, NotImplementedError):
        return REFUSED_UNLOAD
    if isinstance(error, HTTPException):
        return NO_SUCH_PATH
    if isinstance(error, kserve_errors.ModelNotReady):
        error = NotReady()
    if isinstance(error, RequestValidationError | kserve_errors.InvalidInput):
        error = InvalidRequest("", "the request does not fit the protocol")
    return problem_of(error)
