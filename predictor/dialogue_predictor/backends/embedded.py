"""Decoding in this process: a bounded waiting room, and workers that admit newcomers between two steps.

The event loop only queues and delivers; the workers' threads only compute. A lone request waits for nobody, and one that
finds others being decoded joins them at their next step.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Generic

from dialogue_predictor.backends.base import GenerationRequest, Observer, Part, Unobserved
from dialogue_predictor.backends.engines.choose import engine_for
from dialogue_predictor.backends.engines.linear import Precision
from dialogue_predictor.backends.job import Job
from dialogue_predictor.backends.limits import Limits, check
from dialogue_predictor.backends.waiting import WaitingRoom
from dialogue_predictor.backends.worker import News, Worker
from dialogue_predictor.decoding.options import GenerationOptions, TokenIds
from dialogue_predictor.decoding.outcome import Outcome
from dialogue_predictor.decoding.seam import State, StepModel
from dialogue_predictor.decoding.search import decode
from dialogue_predictor.errors import BackendFailed, NotReady, Overloaded
from dialogue_predictor.model.transformer import DialogueTransformer

log = logging.getLogger(__name__)

WARM_UP_TOKENS = 2


class EmbeddedBackend(Generic[State]):
    """A `Backend` over a model in this process; belongs to the event loop that first uses it.

    Each of `workers` threads decodes up to `max_batch_size` sources at once, requests with equal options in one batch;
    all share the model, which must bear being called from several threads. Where there are several workers, the caller
    sees to it that torch gives each one thread. `continuous` false admits nobody while a worker decodes: static batches.

    At most `max_queue` requests wait. One more is refused with Overloaded, or in its place the latest one of a tenant that
    has more of them waiting. Who is next: see `order`; how many come in between two steps: see `admission`. A request that is
    cancelled or late gives its place up before the next step of its worker (or the next look at the engine's steps, where
    the engine takes several at once).

    Batch invariance: a reply is a function of its own request. Neighbours, arrivals, departures, faults of others and the
    number of workers change no input of a source's arithmetic and no step of its search; they change the shapes of the
    batches that it is computed in, and with these the order in which a kernel may add up. So a reply is the one that the
    request would get alone up to the rounding of the engine's precision: token for token in float64, where rounding is
    too small to change a comparison; in a lower precision another reply wins only where the two score the same up to
    rounding; bit for bit only where the batches' shapes, and its row in them, are the same. Sampling draws from the
    request's seed alone.
    """

    def __init__(
        self,
        model: StepModel[State],
        ids: TokenIds,
        limits: Limits,
        *,
        max_batch_size: int = 16,
        max_queue: int = 128,
        workers: int = 1,
        continuous: bool = True,
        observer: Observer | None = None,
    ) -> None:
        """Raises ValueError for a number below 1."""
        for name, size in (("max_batch_size", max_batch_size), ("max_queue", max_queue), ("workers", workers)):
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        self._model, self._ids, self._limits = model, ids, limits
        self._max_batch_size = max_batch_size
        self._observer = observer or Unobserved()
        self._room = WaitingRoom(
            workers=workers,
            max_batch_size=max_batch_size,
            max_queue=max_queue,
            continuous=continuous,
        )
        self._workers = [Worker(number, self._room, model, ids) for number in range(workers)]
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="decoding")
        self._taken: dict[Job, None] = {}  # waiting or at a worker
        self._open = True
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def pending_tokens(self) -> int:
        return sum(job.request.options.max_new_tokens for job in self._taken if not job.over)

    async def warm_up(self, options: GenerationOptions) -> None:
        """Decodes two tokens in batches of 1, 2, 4, … up to the greatest, on every thread."""
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(self._threads, self._warm_up, options) for _ in self._workers))

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
        for job in list(self._taken):
            job.fail(NotReady("the server is stopping"))
            self._withdraw(job)
        self._changed()
        await self._idle.wait()
        self._threads.shutdown(wait=False)

    @contextmanager
    def _admitted(self, request: GenerationRequest, *, watched: bool) -> Iterator[Job]:
        """A place in the waiting room and then in a batch, given up on the way out however that happens."""
        if not self._open:
            raise NotReady("the server is stopping")
        check(request, self._limits)
        loop = asyncio.get_running_loop()
        job = Job(request, watched=watched, since=loop.time())
        displaced = self._room.add(job)
        self._taken[job] = None
        if displaced is not None:
            displaced.fail(Overloaded())
            del self._taken[displaced]
        loop.call_soon(self._rouse)  # requests of the same moment are admitted together
        try:
            self._changed()
            yield job
        finally:
            job.over = True
            self._withdraw(job)
            self._changed()

    def _withdraw(self, job: Job) -> None:
        """A job that a worker has fetched leaves when the worker lets it go."""
        if self._room.withdraw(job):
            del self._taken[job]

    def _rouse(self) -> None:
        loop = asyncio.get_running_loop()

        def tell(news: News) -> None:
            loop.call_soon_threadsafe(self._deliver, news)

        for number in self._room.rouse():
            worker = self._workers[number]
            work = loop.run_in_executor(self._threads, worker.run, loop.time, tell)
            work.add_done_callback(partial(self._stopped, worker))

    def _deliver(self, news: News) -> None:
        for job, message in news.messages:
            if isinstance(message, Part):
                job.send(message)
            else:
                job.fail(message)
        for job in news.left:
            self._taken.pop(job, None)
        for requests, error in news.faults:
            self._fault(requests, error)
        for size in news.sizes:
            self._observer.batched(size)
        for seconds in news.waits:
            self._observer.queued(seconds)
        self._changed()

    def _stopped(self, worker: Worker[State], work: asyncio.Future[None]) -> None:
        """Nobody may be left waiting, whatever became of a worker."""
        error = None if work.cancelled() else work.exception()
        if error is None:
            return
        jobs = worker.abandon()
        self._room.lost(worker.number)
        self._deliver(News(messages=[(job, BackendFailed()) for job in jobs], left=jobs))
        self._fault(len(jobs), error)
        self._rouse()

    def _fault(self, requests: int, error: BaseException) -> None:
        log.error("decoding failed for %d requests", requests, exc_info=error)
        self._observer.failed(requests)

    def _changed(self) -> None:
        self._observer.pending(self.pending_tokens)
        if self._taken:
            self._idle.clear()
        else:
            self._idle.set()

    def _warm_up(self, options: GenerationOptions) -> None:
        short = replace(options, max_new_tokens=min(WARM_UP_TOKENS, options.max_new_tokens), min_new_tokens=0)
        sizes = {min(1 << power, self._max_batch_size) for power in range(self._max_batch_size.bit_length() + 1)}
        for size in sorted(sizes):
            decode(self._model, [(self._ids.eos,)] * size, short, self._ids)


def embedded(
    model: DialogueTransformer,
    *,
    precision: Precision = "fp32",
    max_batch_size: int = 16,
    max_queue: int = 128,
    workers: int = 1,
    continuous: bool = True,
    observer: Observer | None = None,
) -> EmbeddedBackend[Any]:
    """The backend over this machine's engine for a model, which it uses up. Raises RuntimeError where there is none."""
    config = model.config
    return EmbeddedBackend(
        engine_for(model, precision),
        TokenIds(start=config.decoder_start_id, eos=config.eos_id, pad=config.pad_id),
        Limits(vocab_size=config.vocab_size, max_positions=config.max_positions),
        max_batch_size=max_batch_size,
        max_queue=max_queue,
        workers=workers,
        continuous=continuous,
        observer=observer,
    )
