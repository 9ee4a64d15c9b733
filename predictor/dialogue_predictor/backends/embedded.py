"""Decoding in this process: a bounded queue, batches of equal options, one worker thread.

The event loop only queues and delivers; the worker only computes. While one batch is decoded the next one
gathers, so batches grow with load and a lone request waits for nobody.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Generic

from dialogue_predictor.backends.base import GenerationRequest, Observer, Part, Unobserved
from dialogue_predictor.backends.job import Job
from dialogue_predictor.decoding.options import GenerationOptions, TokenIds
from dialogue_predictor.decoding.outcome import Outcome
from dialogue_predictor.decoding.seam import State, StepModel
from dialogue_predictor.decoding.search import Search, decode
from dialogue_predictor.errors import BackendFailed, InvalidRequest, NotReady, Overloaded
from dialogue_predictor.model.incremental import DecoderState, IncrementalModel
from dialogue_predictor.model.precision import Precision, in_precision
from dialogue_predictor.model.transformer import DialogueTransformer

log = logging.getLogger(__name__)

WARM_UP_TOKENS = 2


@dataclass(frozen=True)
class Limits:
    """What the model can take: ids below `vocab_size`, sources and targets up to `max_positions`."""

    vocab_size: int
    max_positions: int


class EmbeddedBackend(Generic[State]):
    """A `Backend` over a model in this process; belongs to the event loop that first uses it.

    At most `max_queue` requests wait; one more is refused with Overloaded.
    """

    def __init__(
        self,
        model: StepModel[State],
        ids: TokenIds,
        limits: Limits,
        *,
        max_batch_size: int = 16,
        max_queue: int = 128,
        observer: Observer | None = None,
    ) -> None:
        if max_batch_size < 1 or max_queue < 1:
            raise ValueError("max_batch_size and max_queue must be at least 1")
        self._model, self._ids, self._limits = model, ids, limits
        self._max_batch_size, self._max_queue = max_batch_size, max_queue
        self._observer = observer or Unobserved()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="decoding")
        self._waiting: list[Job] = []
        self._decoding: list[Job] = []
        self._open = True
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def pending_tokens(self) -> int:
        jobs = [*self._waiting, *self._decoding]
        return sum(job.request.options.max_new_tokens for job in jobs if not job.over)

    async def warm_up(self, options: GenerationOptions) -> None:
        """Decodes two tokens in batches of 1, 2, 4, … up to the greatest."""
        short = replace(options, max_new_tokens=min(WARM_UP_TOKENS, options.max_new_tokens), min_new_tokens=0)
        sizes = {min(1 << power, self._max_batch_size) for power in range(self._max_batch_size.bit_length() + 1)}
        loop = asyncio.get_running_loop()
        for size in sorted(sizes):
            sources = [(self._ids.eos,)] * size
            await loop.run_in_executor(self._worker, decode, self._model, sources, short, self._ids)

    async def generate(self, request: GenerationRequest) -> Outcome:
        with self._admitted(request, watched=False) as job:
            while (outcome := (await job.receive()).outcome) is None:
                pass
            return outcome

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Part, None]:
        with self._admitted(request, watched=True) as job:
            while True:
                part = await job.receive()
                yield part
                if part.outcome is not None:
                    return

    async def drain(self) -> None:
        self._open = False
        await self._idle.wait()

    async def close(self) -> None:
        self._open = False
        for job in (*self._waiting, *self._decoding):
            job.fail(NotReady("the server is stopping"))
        self._waiting.clear()
        self._schedule()
        await self._idle.wait()
        self._worker.shutdown(wait=False)

    @contextmanager
    def _admitted(self, request: GenerationRequest, *, watched: bool) -> Iterator[Job]:
        """A place in the queue and then in a batch, given up on the way out however that happens."""
        if not self._open:
            raise NotReady("the server is stopping")
        check(request, self._limits)
        if len(self._waiting) >= self._max_queue:
            raise Overloaded
        loop = asyncio.get_running_loop()
        job = Job(request, watched=watched, since=loop.time())
        self._waiting.append(job)
        loop.call_soon(self._schedule)  # requests of the same moment share a batch
        try:
            self._changed()
            yield job
        finally:
            job.over = True
            if job in self._waiting:
                self._waiting.remove(job)
            self._changed()

    def _schedule(self) -> None:
        """Begins the next batch if the worker is free."""
        if self._decoding or not self._waiting:
            self._changed()
            return
        loop = asyncio.get_running_loop()
        options = self._waiting[0].request.options
        batch = [job for job in self._waiting if job.request.options == options][: self._max_batch_size]
        self._waiting = [job for job in self._waiting if job not in batch]
        self._decoding = batch
        work = loop.run_in_executor(self._worker, self._decode, batch, options, loop)
        work.add_done_callback(self._decoded)
        self._changed()
        self._observer.batched(len(batch))
        for job in batch:
            self._observer.queued(loop.time() - job.since)

    def _decode(self, batch: list[Job], options: GenerationOptions, loop: asyncio.AbstractEventLoop) -> None:
        """On the worker's thread. Jobs are only read here; what they get goes through the loop."""
        search = Search(
            self._model,
            [job.request.source for job in batch],
            options,
            self._ids,
            watched=[index for index, job in enumerate(batch) if job.watched],
        )
        while True:
            search.drop(index for index, job in enumerate(batch) if job.over)
            if not search.active:
                return
            for progress in search.advance():
                job = batch[progress.source]
                if progress.broken:
                    log.error("the model's scores are not finite")
                    loop.call_soon_threadsafe(job.fail, BackendFailed())
                else:
                    loop.call_soon_threadsafe(job.send, Part(progress.tokens, progress.outcome))

    def _decoded(self, work: asyncio.Future[None]) -> None:
        """Nobody of the batch may be left waiting, whatever became of it."""
        batch, self._decoding = self._decoding, []
        error = None if work.cancelled() else work.exception()
        if error is not None:
            log.error("decoding a batch of %d failed", len(batch), exc_info=error)
        for job in batch:
            job.fail(BackendFailed())
        self._schedule()

    def _changed(self) -> None:
        self._observer.pending(self.pending_tokens)
        if self._waiting or self._decoding:
            self._idle.clear()
        else:
            self._idle.set()


def embedded(
    model: DialogueTransformer,
    *,
    precision: Precision = "fp32",
    max_batch_size: int = 16,
    max_queue: int = 128,
    observer: Observer | None = None,
) -> EmbeddedBackend[DecoderState]:
    """The backend over a loaded model, which it puts into evaluation and, in place, into the precision."""
    config = model.config
    return EmbeddedBackend(
        IncrementalModel(in_precision(model, precision)),
        TokenIds(start=config.decoder_start_id, eos=config.eos_id, pad=config.pad_id),
        Limits(vocab_size=config.vocab_size, max_positions=config.max_positions),
        max_batch_size=max_batch_size,
        max_queue=max_queue,
        observer=observer,
    )


def check(request: GenerationRequest, limits: Limits) -> None:
    """Raises InvalidRequest for what would break a batch, and with it the neighbours' replies."""
    if not 1 <= len(request.source) <= limits.max_positions:
        raise InvalidRequest("source", f"must have 1 to {limits.max_positions} tokens")
    if not all(0 <= token < limits.vocab_size for token in request.source):
        raise InvalidRequest("source", "has a token outside the vocabulary")
    if request.options.max_new_tokens > limits.max_positions:
        raise InvalidRequest("max_new_tokens", f"must be at most {limits.max_positions}")
    for field in ("forced_bos_id", "forced_eos_id"):
        token = getattr(request.options, field)
        if token is not None and not 0 <= token < limits.vocab_size:
            raise InvalidRequest(field, "is outside the vocabulary")
