"""Where requests wait: the event loop brings them, workers fetch them between two steps."""

import threading
from dataclasses import dataclass, field

from dialogue_predictor.backends.admission import cost, fits_step, vacancies, worthwhile
from dialogue_predictor.backends.job import Job
from dialogue_predictor.backends.order import Order
from dialogue_predictor.errors import Overloaded


@dataclass
class Taken:
    """What a worker fetched: newcomers, those who came too late, and whether there is anything to do for it."""

    newcomers: list[Job] = field(default_factory=list)
    gone: list[Job] = field(default_factory=list)
    asleep: bool = False


class WaitingRoom:
    """Shared by all threads; every method is short and holds the one lock.

    A worker that finds nothing to do is asleep from then on, until `rouse` names it. Both happen under the lock, so
    that a request cannot slip in between.
    """

    def __init__(self, *, workers: int, max_batch_size: int, max_queue: int, continuous: bool) -> None:
        self._max_batch_size, self._max_queue, self._continuous = max_batch_size, max_queue, continuous
        self._order: Order[Job] = Order()
        self._decoding = [0] * workers
        self._waited = [0] * workers  # steps since the worker's last admission, for each that had room there
        self._asleep = set(range(workers))
        self._lock = threading.Lock()

    def add(self, job: Job) -> Job | None:
        """Who lost its place to the job, if somebody did. Raises Overloaded where the room is full."""
        request = job.request
        displaced = None
        with self._lock:
            if len(self._order) >= self._max_queue:
                displaced = self._order.displaced_by(request.tenant)
                if displaced is None:
                    raise Overloaded
                self._order.discard(displaced)
            self._order.add(job, priority=request.priority, tenant=request.tenant, cost=cost(request))
        return displaced

    def withdraw(self, job: Job) -> bool:
        """Whether the job still waited, and now does not."""
        with self._lock:
            return self._order.discard(job)

    def take(self, worker: int, decoding: int, now: float) -> Taken:
        """For a worker that decodes so many sources, before its next step. Nobody who is late or over gets further."""
        taken, tokens = Taken(), 0
        with self._lock:
            self._decoding[worker] = decoding
            room = self._room(worker)
            while (job := self._order.first()) is not None:
                length = len(job.request.source)
                if job.over or job.late(now):
                    self._order.discard(job)
                    taken.gone.append(job)
                elif len(taken.newcomers) < room and fits_step(tokens, length, decoding=decoding > 0):
                    taken.newcomers.append(self._order.take())
                    tokens += length
                else:
                    break
            self._decoding[worker] += len(taken.newcomers)
            if taken.newcomers:
                self._waited[worker] = 0
            if not self._decoding[worker]:
                taken.asleep = True
                self._asleep.add(worker)
        return taken

    def rouse(self) -> list[int]:
        """The workers to start: as many of those asleep as there are requests for."""
        with self._lock:
            roused = sorted(self._asleep)[: len(self._order)]
            self._asleep.difference_update(roused)
        return roused

    def lost(self, worker: int) -> None:
        """The worker has come down with all it decoded; it can be roused again."""
        with self._lock:
            self._decoding[worker] = 0
            self._asleep.add(worker)

    def _room(self, worker: int) -> int:
        """How many may come in now."""
        waiting = len(self._order)
        free = vacancies(self._decoding, worker, waiting, most=self._max_batch_size, continuous=self._continuous)
        self._waited[worker] += min(free, waiting)
        return free if worthwhile(self._waited[worker], self._decoding[worker]) else 0
