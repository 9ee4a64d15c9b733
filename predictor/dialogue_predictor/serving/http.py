"""Our routes beside KServe's: v2 infer, chat completions, listings that fit both APIs, probes.

They are registered before KServe's own, so theirs under the same path never answer.
"""

import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from dialogue_predictor import names
from dialogue_predictor.errors import InvalidRequest, NotReady
from dialogue_predictor.inference.request import Piece
from dialogue_predictor.serving.answers import Answers
from dialogue_predictor.serving.calls import Call
from dialogue_predictor.serving.codecs.chat import ChatRequest, ChatWriter, read_chat
from dialogue_predictor.serving.codecs.feedback import read_vote
from dialogue_predictor.serving.codecs.fields import read_json
from dialogue_predictor.serving.codecs.v2 import read_http
from dialogue_predictor.serving.metrics import Metrics
from dialogue_predictor.serving.model import StrictPlane
from dialogue_predictor.serving.problems import openai_error, problem_of
from dialogue_predictor.serving.reception import Reception, current, pin_of


class JSON(Response):
    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


def routes(name: str, answers: Answers, plane: StrictPlane, reception: Reception, metrics: Metrics) -> APIRouter:
    router = APIRouter()
    born = int(time.time())

    @router.get(names.LIVE_PATH)
    async def live() -> Response:
        return JSON({"status": "alive"})

    @router.get("/v2/health/ready")
    async def server_ready() -> Response:
        if not answers.ready:
            raise NotReady()
        return JSON({"ready": True})

    @router.get("/v1/models")
    async def models() -> Response:
        return JSON({"object": "list", "data": [_card(name, born)], "models": [name]})

    @router.get("/v1/models/{model}")
    async def model(model: str) -> Response:
        if not await plane.model_ready(model):
            raise NotReady()
        return JSON(_card(name, born) | {"name": name, "ready": True})

    @router.post("/v2/models/{model}/infer")
    async def infer(model: str, request: Request) -> Response:
        await plane.get_model(model)
        header = request.headers.get("inference-header-content-length")
        tensors = read_http(await request.body(), header, model, request.state.request_id)
        response, _ = await plane.infer(model, tensors, dict(request.headers))
        content, headers = plane.encode(model, response, None, {})
        if isinstance(content, bytes):
            return Response(content, headers=headers, media_type="application/octet-stream")
        return JSON(content, headers=headers)

    @router.post(names.CHAT_PATH)
    async def chat(request: Request) -> Response:
        await plane.get_model(name)
        assigned = current.get()
        asked = read_chat(read_json(await request.body()), name, assigned.arm.generation)
        writer = ChatWriter(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), name, assigned.arm.revision)
        if not asked.stream:
            return JSON(writer.whole(await answers.reply(asked.replies, assigned)))
        pieces = answers.stream(asked.replies[0], assigned)
        first = await anext(pieces)  # so that what fails before the first word still gets its own status
        return EventStream(asked, writer, first, pieces, request.state.call)

    @router.post(names.FEEDBACK_PATH)
    async def feedback(request: Request) -> Response:
        vote = read_vote(read_json(await request.body()), name)
        if pin_of(request.headers) is None:  # to guess would credit one revision with what another one said
            raise InvalidRequest(names.HEADER_REVISION, "must name the revision of the reply, as the reply did")
        if (arm := reception.pinned(request.headers)) is not None:  # a vote for what has gone decides nothing
            metrics.of(arm.revision).voted(vote)
        return Response(status_code=204)

    return router


def _card(name: str, born: int) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": born, "owned_by": "dialogue-serving"}


class EventStream(Response):
    """Server-sent events of one reply. They end with `[DONE]`, or with an error event that says why not."""

    media_type = "text/event-stream"

    def __init__(
        self, asked: ChatRequest, writer: ChatWriter, first: Piece, pieces: AsyncGenerator[Piece], call: Call
    ) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._asked = asked
        self._writer = writer
        self._first = first
        self._pieces = pieces
        self._call = call

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async with aclosing(self._pieces):
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            try:
                async with self._call.limit():
                    async for event in self._events():
                        await send({"type": "http.response.body", "body": _event(event), "more_body": True})
                    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": True})
            except Exception as error:
                problem = problem_of(error)
                self._call.failed(problem)
                failure = _event(openai_error(problem, self._call.request_id))
                await send({"type": "http.response.body", "body": failure, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _events(self) -> AsyncIterator[dict[str, Any]]:
        piece = self._first
        yield self._writer.delta(piece.text, first=True)
        while piece.reply is None:
            piece = await anext(self._pieces)
            if piece.text:
                yield self._writer.delta(piece.text, first=False)
        yield self._writer.end(piece.reply)
        if self._asked.usage:
            yield self._writer.usage(piece.reply)


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"
