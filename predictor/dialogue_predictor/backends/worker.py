"""A thread's part: fetches newcomers between two steps, decodes lane by lane, and tells what came of it."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic

from dialogue_predictor.backends.admission import groups
from dialogue_predictor.backends.base import Part
from dialogue_predictor.backends.job import Job
from dialogue_predictor.backends.lane import Lane
from dialogue_predictor.backends.waiting import WaitingRoom
from dialogue_predictor.decoding.options import GenerationOptions, TokenIds
from dialogue_predictor.decoding.outcome import Progress
from dialogue_predictor.decoding.seam import State, StepModel
from dialogue_predictor.errors import BackendFailed, DeadlineExceeded, RequestError


@dataclass
class News:
    """What one round brought. Whoever has left gets nothing more and has given its place up."""

    messages: list[tuple[Job, Part | RequestError]] = field(default_factory=list)
    left: list[Job] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)  # seconds, of each newcomer
    sizes: list[int] = field(default_factory=list)  # sources, of each lane that has newcomers
    faults: list[tuple[int, Exception]] = field(default_factory=list)  # requests failed, and why

    def __bool__(self) -> bool:
        return any((self.messages, self.left, self.waits, self.sizes, self.faults))

    def fail(self, jobs: Sequence[Job], error: Exception) -> None:
        self.faults.append((len(jobs), error))
        self.messages += [(job, BackendFailed()) for job in jobs]
        self.left += jobs

    def give_up(self, jobs: Iterable[Job]) -> None:
        """Of those that are not late, nobody listens any more."""
        for job in jobs:
            self.messages.append((job, DeadlineExceeded()))
            self.left.append(job)

    def progress(self, job: Job, progress: Progress) -> None:
        if progress.broken:
            self.fail([job], ArithmeticError("the model's scores are not finite"))
            return
        self.messages.append((job, Part(progress.tokens, progress.outcome)))
        if progress.outcome is not None:
            self.left.append(job)


class Worker(Generic[State]):
    """Decodes on whatever thread runs it, one at a time; the engine may be shared with other workers.

    A round lets go of those that nobody waits for, admits newcomers, and takes one step of one lane; lanes take turns.
    So a place is free for others before the next step of any lane, and whatever comes in, one lane gets on. A fault of
    the engine fails the requests of its lane, or those alone with which it was met while they were admitted; others
    that wait get a new lane.
    """

    def __init__(
        self,
        number: int,
        room: WaitingRoom,
        model: StepModel[State],
        ids: TokenIds,
    ) -> None:
        self.number = number
        self._room, self._model, self._ids = room, model, ids
        self._lanes: deque[Lane[State]] = deque()  # the next one to step first
        self._jobs: dict[Job, None] = {}  # fetched and not yet left

    def run(self, clock: Callable[[], float], tell: Callable[[News], object]) -> None:
        """Until there is nothing to do."""
        while self.round(clock(), tell):
            pass

    def round(self, now: float, tell: Callable[[News], object]) -> bool:
        """False when there is nothing to do; then another thread may run it from here on."""
        news = News()
        self._release(now, news)
        taken = self._room.take(self.number, len(self._jobs), now)
        news.give_up(taken.gone)
        if taken.asleep:
            self._tell(news, tell)
            return False
        self._admit(taken.newcomers, now, news)
        self._tell(news, tell)
        news = News()
        self._release(now, news)
        if self._lanes:
            self._lanes.rotate(-1)
            self._advance(self._lanes[-1], news)
        self._tell(news, tell)
        return True

    def abandon(self) -> list[Job]:
        """Everything it decodes, given up."""
        jobs = list(self._jobs)
        self._lanes.clear()
        self._jobs.clear()
        return jobs

    def _admit(self, newcomers: Sequence[Job], now: float, news: News) -> None:
        """Also tells the newcomers' first tokens, before anybody takes a step."""
        self._jobs.update(dict.fromkeys(newcomers))
        news.waits += [now - job.since for job in newcomers]
        lanes: dict[GenerationOptions, list[Job]] = {}
        for job in newcomers:
            lanes.setdefault(job.request.options, []).append(job)
        for options, jobs in lanes.items():
            lane = self._lane(options)
            alike = groups([len(job.request.source) for job in jobs])
            joined = [self._admit_group(lane, [jobs[position] for position in group], news) for group in alike]
            if any(joined):
                news.sizes.append(len(lane))
                if lane.has_first_news:
                    self._advance(lane, news)

    def _admit_group(self, lane: Lane[State], jobs: Sequence[Job], news: News) -> bool:
        try:
            lane.admit(jobs)
        except Exception as error:
            news.fail(jobs, error)
            return False
        return True

    def _advance(self, lane: Lane[State], news: News) -> None:
        try:
            for job, progress in lane.advance():
                news.progress(job, progress)
        except Exception as error:
            news.fail(lane.jobs, error)
            lane.clear()

    def _lane(self, options: GenerationOptions) -> Lane[State]:
        for lane in self._lanes:
            if lane.options == options:
                return lane
        self._lanes.append(Lane(self._model, options, self._ids))
        return self._lanes[-1]

    def _release(self, now: float, news: News) -> None:
        for lane in self._lanes:
            news.give_up(lane.release(now))
        self._let_go(news)

    def _tell(self, news: News, tell: Callable[[News], object]) -> None:
        self._let_go(news)
        if news:
            tell(news)

    def _let_go(self, news: News) -> None:
        """Of those that have left, and of lanes with nobody in them."""
        for job in news.left:
            self._jobs.pop(job, None)
        self._lanes = deque(lane for lane in self._lanes if len(lane))
