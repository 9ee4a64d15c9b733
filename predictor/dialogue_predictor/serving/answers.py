"""The engine as the protocols see it: absent while loading, measured, and never raising anything unexpected."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from time import perf_counter

from dialogue_predictor.errors import BackendFailed, NotReady, RequestError
from dialogue_predictor.inference.engine import DialogueEngine
from dialogue_predictor.inference.request import Piece, Reply, ReplyRequest
from dialogue_predictor.serving.metrics import Metrics
from dialogue_predictor.serving.problems import log_unexpected
from dialogue_predictor.serving.reception import Assigned
from dialogue_predictor.serving.shadow import Mirror


class Answers:
    """Raises NotReady until `open` is called and after `close`, and otherwise what the engine raises."""

    def __init__(self, metrics: Metrics, mirror: Mirror) -> None:
        self._metrics = metrics
        self._mirror = mirror
        self._engine: DialogueEngine | None = None

    @property
    def ready(self) -> bool:
        return self._engine is not None

    def open(self, engine: DialogueEngine) -> None:
        self._engine = engine
        self._metrics.backend_up(True)

    def close(self) -> DialogueEngine | None:
        """The engine, if there was one, for its last rites."""
        engine, self._engine = self._engine, None
        self._metrics.backend_up(False)
        return engine

    async def reply(self, requests: Sequence[ReplyRequest], assigned: Assigned) -> list[Reply]:
        """A reply to each, all at once; the first failure cancels the others."""
        if len(requests) == 1:
            return [await self._one(requests[0], assigned)]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._one(request, assigned)) for request in requests]
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [task.result() for task in tasks]

    async def stream(self, request: ReplyRequest, assigned: Assigned) -> AsyncGenerator[Piece]:
        started = perf_counter()
        first = True
        try:
            async with aclosing(self._opened().stream(_from(request, assigned))) as pieces:
                async for piece in pieces:
                    if first and piece.text:
                        first = False
                        self._metrics.of(assigned.arm.revision).first_text(perf_counter() - started)
                    if piece.reply is not None:
                        self._answered(request, piece.reply, assigned)
                    yield piece
        except Exception as error:
            raise self._failure(error) from None

    async def _one(self, request: ReplyRequest, assigned: Assigned) -> Reply:
        try:
            reply = await self._opened().reply(_from(request, assigned))
        except Exception as error:
            raise self._failure(error) from None
        self._answered(request, reply, assigned)
        return reply

    def _opened(self) -> DialogueEngine:
        if self._engine is None:
            raise NotReady()
        return self._engine

    def _answered(self, request: ReplyRequest, reply: Reply, assigned: Assigned) -> None:
        self._metrics.backend_up(True)
        self._metrics.of(assigned.arm.revision).reply(request, reply)
        if assigned.shadow is not None:
            self._mirror.copy(assigned.shadow, assigned.arm, request, reply.text)

    def _failure(self, error: Exception) -> RequestError:
        """The error as one of ours; anything unexpected means that the backend is broken."""
        if not isinstance(error, RequestError):
            log_unexpected(error)
            error = BackendFailed()
        if isinstance(error, BackendFailed):
            self._metrics.backend_up(False)
        return error


def _from(request: ReplyRequest, assigned: Assigned) -> ReplyRequest:
    """The request with who asks, which protocols carry outside of it."""
    return replace(request, tenant=assigned.caller.tenant, priority=assigned.caller.priority)
