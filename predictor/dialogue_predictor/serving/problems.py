"""What a client is told when a request is not answered: one table for HTTP, gRPC, OpenAI bodies and metrics.

Nothing of an unexpected exception leaves the process; the client gets a request id, and the log under that id gets
the exception's type and where it happened, without its message, which may quote a user.
"""

import asyncio
import logging
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from dialogue_predictor import errors

Outcome = Literal["ok", "client_error", "server_error", "shed", "cancelled"]
log = logging.getLogger("dialogue.serving")
current_request: ContextVar[str] = ContextVar("current_request")  # the id that the log names


@dataclass(frozen=True, slots=True)
class Problem:
    """`grpc` is the name of a gRPC status code, `code` a stable word for programs."""

    status: int
    grpc: str
    code: str
    outcome: Outcome
    message: str
    field: str = ""
    headers: tuple[tuple[str, str], ...] = ()


DEADLINE_EXCEEDED = "deadline_exceeded"
NO_SUCH_PATH = Problem(404, "UNIMPLEMENTED", "not_found", "client_error", "there is nothing at this path")
REFUSED_UNLOAD = Problem(
    501, "UNIMPLEMENTED", "unsupported", "client_error", "models are loaded and unloaded with their pods"
)
CLIENT_GONE = Problem(499, "CANCELLED", "cancelled", "cancelled", "the client went away")
HANDLED = Problem(500, "INTERNAL", "internal", "server_error", "the reply could not be generated")
NOT_JSON = Problem(
    415, "INVALID_ARGUMENT", "unsupported_media_type", "client_error",
    "content-type: send application/json in UTF-8",
)  # fmt: skip
ENCODED = Problem(
    415, "INVALID_ARGUMENT", "unsupported_encoding", "client_error",
    "content-encoding: send the body uncompressed",
)  # fmt: skip

TABLE: Mapping[type[errors.RequestError], tuple[int, str, str, Outcome]] = {
    errors.InvalidRequest: (400, "INVALID_ARGUMENT", "invalid_request", "client_error"),
    errors.ModelNotFound: (404, "NOT_FOUND", "model_not_found", "client_error"),
    errors.NotReady: (503, "UNAVAILABLE", "not_ready", "shed"),
    errors.Overloaded: (429, "RESOURCE_EXHAUSTED", "overloaded", "shed"),
    errors.DeadlineExceeded: (504, "DEADLINE_EXCEEDED", DEADLINE_EXCEEDED, "server_error"),
    errors.BackendFailed: (500, "INTERNAL", "internal", "server_error"),
}


def too_large(limit: int) -> Problem:
    message = f"the body is larger than {limit // 1024} KiB"
    return Problem(413, "RESOURCE_EXHAUSTED", "too_large", "client_error", message)


def too_slow(limit_seconds: float) -> Problem:
    message = f"the body did not arrive within {limit_seconds:g} s"
    return Problem(408, "DEADLINE_EXCEEDED", "too_slow", "client_error", message)


def wrong_method(allowed: str) -> Problem:
    message = f"use {allowed} here"
    return Problem(405, "UNIMPLEMENTED", "method_not_allowed", "client_error", message, headers=(("allow", allowed),))


def problem_of(error: BaseException) -> Problem:
    """The problem that an exception means; logged when nobody expected it."""
    if isinstance(error, asyncio.CancelledError):
        return CLIENT_GONE
    if isinstance(error, TimeoutError):
        error = errors.DeadlineExceeded()
    if isinstance(error, BaseExceptionGroup):  # of a task group: the first tells enough
        return problem_of(error.exceptions[0])
    if not isinstance(error, errors.RequestError):
        log_unexpected(error)
        error = errors.BackendFailed()
    status, grpc, code, outcome = TABLE[type(error)]
    wait = (("retry-after", str(error.retry_after)),) if isinstance(error, errors.Overloaded) else ()
    where = error.field if isinstance(error, errors.InvalidRequest) else ""
    return Problem(status, grpc, code, outcome, error.message, where, wait)


def log_unexpected(error: BaseException) -> None:
    """The type and the place, never the message: it may quote a user."""
    where = "".join(traceback.format_tb(error.__traceback__)[-4:])
    log.error("request %s failed: %s\n%s", current_request.get("-"), type(error).__name__, where)


def openai_error(problem: Problem, request_id: str) -> dict[str, Any]:
    kind = "invalid_request_error" if problem.status < 429 else "server_error"
    return {
        "error": {
            "message": problem.message,
            "type": "rate_limit_error" if problem.status == 429 else kind,
            "param": problem.field or None,
            "code": problem.code,
        },
        "request_id": request_id,
    }


def body_of(problem: Problem, request_id: str, path: str) -> bytes:
    """OpenAI's shape under its paths, KServe's (`error` is a string) elsewhere."""
    if path.startswith("/v1/chat/") or path == "/v1/models":
        return orjson.dumps(openai_error(problem, request_id))
    plain = {"error": problem.message, "code": problem.code, "request_id": request_id}
    return orjson.dumps(plain | ({"field": problem.field} if problem.field else {}))
