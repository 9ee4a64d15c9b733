"""The requests of equal options that a worker decodes together, step by step."""

from collections.abc import Sequence
from typing import Generic

from dialogue_predictor.backends.job import Job
from dialogue_predictor.decoding.options import GenerationOptions, TokenIds
from dialogue_predictor.decoding.outcome import Progress
from dialogue_predictor.decoding.seam import State, StepModel
from dialogue_predictor.decoding.search import Search


class Lane(Generic[State]):
    """One search, and whose each of its sources is."""

    def __init__(self, model: StepModel[State], options: GenerationOptions, ids: TokenIds) -> None:
        self.options = options
        self._search: Search[State] = Search(model, options, ids)
        self._jobs: dict[int, Job] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def jobs(self) -> list[Job]:
        return list(self._jobs.values())

    @property
    def has_first_news(self) -> bool:
        """Whether the next `advance` takes no step, but tells of one that has been taken."""
        return self._search.unseen

    def admit(self, jobs: Sequence[Job]) -> None:
        """Encodes newcomers. What the model raises concerns them alone."""
        sources = self._search.admit(
            [job.request.source for job in jobs],
            watched=[position for position, job in enumerate(jobs) if job.watched],
            seeds=[job.request.seed for job in jobs],
        )
        self._jobs.update(zip(sources, jobs, strict=True))

    def release(self, now: float) -> list[Job]:
        """Lets go of those that nobody waits for any more, and of the late."""
        gone = {source: job for source, job in self._jobs.items() if job.over or job.late(now)}
        self._search.drop(gone)
        for source in gone:
            del self._jobs[source]
        return list(gone.values())

    def clear(self) -> None:
        """After a fault: all requests are given up."""
        self._jobs.clear()

    def advance(self) -> list[tuple[Job, Progress]]:
        """The newcomers' first news where there are any, else one step. The lane is of no use after an exception."""
        news = [(self._jobs[progress.source], progress) for progress in self._search.advance()]
        for _, progress in news:
            if progress.broken or progress.outcome is not None:
                del self._jobs[progress.source]
        return news
