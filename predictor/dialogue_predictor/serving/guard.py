"""The first thing a request meets: an ASGI application around the whole server.

KServe's server reads bodies of any size, waits for them for ever, keeps computing for clients that have gone, and
tells exceptions to anyone. Here a request is checked, bounded in size, time and number, and its work is cancelled
with its client. Every response carries the revision that answers and a request id.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import replace
from time import perf_counter
from typing import Any

from dialogue_predictor import names
from dialogue_predictor.serving.calls import HEADER_REQUEST_ID, HEADER_TIMEOUT, Admission, Call, request_id_of
from dialogue_predictor.serving.codecs.callers import read_caller
from dialogue_predictor.serving.limits import Limits
from dialogue_predictor.serving.metrics import Metrics
from dialogue_predictor.serving.problems import (
    CLIENT_GONE,
    ENCODED,
    HANDLED,
    NO_SUCH_PATH,
    NOT_JSON,
    Problem,
    body_of,
    problem_of,
    too_large,
    too_slow,
    wrong_method,
)
from dialogue_predictor.serving.reception import COOKIE, Assigned, Reception, current
from dialogue_predictor.serving.routes import Route, find_route

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

JSON = re.compile(r'application/json(\s*;\s*charset\s*=\s*"?utf-?8"?)?\s*;?', re.IGNORECASE)
# What `curl -d` says of any body when it is told nothing; the body has to be JSON all the same.
UNSTATED = "application/x-www-form-urlencoded"
BINARY = "application/octet-stream"
STREAM_SLACK_SECONDS = 1.0  # a stream ends itself with a typed error at its deadline; this much later it is cut


class Refused(Exception):
    def __init__(self, problem: Problem) -> None:
        self.problem = problem


class Guard:
    def __init__(self, app: App, admission: Admission, metrics: Metrics, reception: Reception, limits: Limits) -> None:
        self._app = app
        self._admission = admission
        self._metrics = metrics
        self._reception = reception
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        request_id = request_id_of(headers.get(HEADER_REQUEST_ID))
        route = find_route(scope["path"])
        assigned = self._assign(route, scope["method"], headers)
        current.set(assigned)
        answer = _Answer(send, request_id, assigned)
        if route is None:
            await answer.refuse(NO_SUCH_PATH, scope["path"])
        elif scope["method"] != route.method:
            await answer.refuse(wrong_method(route.method), scope["path"])
        elif route.infers:
            await self._infer(route, scope, headers, receive, answer)
        elif route.votes:
            await self._hear(route, scope, headers, receive, answer)
        else:
            await self._look(scope, receive, answer)

    def _assign(self, route: Route | None, method: str, headers: dict[str, str]) -> Assigned:
        if route is None or route.method != method or not (route.infers or route.votes):
            return Assigned(self._reception.own)
        if route.infers:
            return self._reception.assign(headers)
        return Assigned(self._reception.pinned(headers) or self._reception.own)

    async def _look(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        """Probes, metrics and listings: no body, no cap."""
        scope["state"]["request_id"] = answer.request_id
        try:
            await self._app(scope, receive, answer.send)
        except Exception as error:
            if not answer.begun:
                await answer.refuse(problem_of(error), scope["path"])

    async def _hear(
        self, route: Route, scope: Scope, headers: dict[str, str], receive: Receive, answer: "_Answer"
    ) -> None:
        """A vote: a small body and no work, so that it is neither capped nor counted as a request."""
        try:
            _check_media(route, headers)
            pending = [await self._read(headers, receive)]
        except Refused as refused:
            if refused.problem is not CLIENT_GONE:
                await answer.refuse(refused.problem, scope["path"])
            return

        async def replay() -> Message:
            if pending:
                return {"type": "http.request", "body": pending.pop(), "more_body": False}
            return {"type": "http.disconnect"}

        await self._look(scope, replay, answer)

    async def _infer(
        self, route: Route, scope: Scope, headers: dict[str, str], receive: Receive, answer: "_Answer"
    ) -> None:
        started = perf_counter()
        metrics = self._metrics.of(answer.assigned.arm.revision)
        problem: Problem | None = None
        call: Call | None = None
        try:
            _check_media(route, headers)
            current.set(replace(answer.assigned, caller=read_caller(headers)))
            body = await self._read(headers, receive)
            with self._admission.admit(answer.request_id, headers.get(HEADER_TIMEOUT)) as call, self._metrics.active():
                await self._run(call, scope, body, receive, answer)
        except Refused as refused:
            problem = refused.problem
        except Exception as error:
            problem = HANDLED if answer.begun else problem_of(error)
            if call is not None:
                call.failed(problem)
        except asyncio.CancelledError:  # the server's own: the drain took too long
            metrics.request("server_error", perf_counter() - started)
            raise
        if problem is not None and problem is not CLIENT_GONE:
            await answer.refuse(problem, scope["path"])
        outcome = call.outcome if call is not None else problem.outcome if problem is not None else "ok"
        metrics.request(outcome, perf_counter() - started)

    async def _read(self, headers: dict[str, str], receive: Receive) -> bytes:
        """The whole body. Raises Refused when it is too large, too slow or breaks off."""
        limit = self._limits.body_bytes
        stated = headers.get("content-length", "")
        if stated.isdigit() and int(stated) > limit:
            raise Refused(too_large(limit))
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refused(CLIENT_GONE)
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    if size > limit:
                        raise Refused(too_large(limit))
                    if not message.get("more_body", False):
                        return b"".join(chunks)
        except TimeoutError:
            raise Refused(too_slow(self._limits.body_seconds)) from None

    async def _run(self, call: Call, scope: Scope, body: bytes, receive: Receive, answer: "_Answer") -> None:
        """The application under the call's deadline, cancelled when the client goes."""
        gone = asyncio.Event()
        pending = [body]

        async def replay() -> Message:
            if pending:
                return {"type": "http.request", "body": pending.pop(), "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            gone.set()
            work.cancel()

        scope["state"]["call"] = call
        scope["state"]["request_id"] = call.request_id
        work = asyncio.ensure_future(self._bounded(call, scope, replay, answer.send))
        watcher = asyncio.ensure_future(watch())
        try:
            await work
        except asyncio.CancelledError:
            if not gone.is_set():
                work.cancel()
                raise
            call.outcome = "cancelled"
        finally:
            watcher.cancel()

    async def _bounded(self, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
        async with call.limit() as limit:

            async def send_and_allow(message: Message) -> None:
                if message["type"] == "http.response.start":
                    call.allow(limit, STREAM_SLACK_SECONDS)
                await send(message)

            await self._app(scope, receive, send_and_allow)


class _Answer:
    """Sends a response with our headers, or a problem where none has begun."""

    def __init__(self, send: Send, request_id: str, assigned: Assigned) -> None:
        self._send = send
        self.begun = False
        self.request_id = request_id
        self.assigned = assigned

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            ours = {names.HEADER_REVISION: self.assigned.arm.revision, HEADER_REQUEST_ID: self.request_id}
            if self.assigned.cookie and message["status"] < 400:
                ours["set-cookie"] = COOKIE.format(self.assigned.arm.revision)
            pairs = [(name.encode(), value.encode("latin-1")) for name, value in ours.items()]
            message = {**message, "headers": [*message.get("headers", ()), *pairs]}
        await self._send(message)

    async def refuse(self, problem: Problem, path: str) -> None:
        if self.begun:
            return
        body = body_of(problem, self.request_id, path)
        headers = {"content-type": "application/json", "content-length": str(len(body)), **dict(problem.headers)}
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": problem.status, "headers": pairs})
        await self.send({"type": "http.response.body", "body": body})


def _check_media(route: Route, headers: dict[str, str]) -> None:
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(ENCODED)
    media = headers.get("content-type", UNSTATED).strip()
    if not (JSON.fullmatch(media) or media == UNSTATED or (route.raw and media == BINARY)):
        raise Refused(NOT_JSON)
