"""Whole rollouts on paper: requests, errors and latencies of two revisions, counted every five seconds.

Arrivals are Poisson, so each bucket of each revision's histogram is a Poisson count of its own. Buckets are the
predictor's; those that lie far from every percentile that is asked for are merged, which changes no verdict.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import erf, log, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from dialogue_operator.rollout.evidence import Histogram, Tally

Floats = npt.NDArray[np.float64]
LOOK_SECONDS = 5
STEPS = (0.05, 0.25, 0.50)
CANDIDATE, CONTROL = 0, 1
BASE_ERRORS, MEDIAN_SECONDS, SPREAD = 0.01, 0.3, 0.5  # of the logarithm
P95_SECONDS = MEDIAN_SECONDS * float(np.exp(1.6448536 * SPREAD))
ALL_BOUNDS = tuple(float(f"{0.005 * 12000 ** (step / 52):.4g}") for step in range(53))
BOUNDS = tuple(bound for bound in ALL_BOUNDS if 1.25 * MEDIAN_SECONDS < bound < 8 * MEDIAN_SECONDS)


@dataclass(frozen=True)
class World:
    """What is wrong with the candidate."""

    name: str
    good: bool
    errors: float = BASE_ERRORS
    slowdown: float = 1.0


WORLDS = (
    World("as good as stable (A/A)", good=True),
    World("twice the errors", good=False, errors=2 * BASE_ERRORS),
    World("P95 30 % slower", good=False, slowdown=1.3),
)
AT_THE_MARGIN = (
    World("errors at the margin", good=False, errors=BASE_ERRORS + 0.005),
    World("P95 at the margin", good=False, slowdown=1.15),
)
ERRORING = World("5 % errors", good=False, errors=0.05)


@dataclass(frozen=True)
class Counts:
    """Sums since the step began, by rollout, look and revision; latencies by bucket as the last axis."""

    errors: Floats
    seconds: Floats

    @property
    def requests(self) -> Floats:
        return np.asarray(self.seconds.sum(axis=-1))

    def tally(self, rollout: int, look: int, revision: int) -> Tally:
        """As the operator gathers it."""
        counts = tuple(self.seconds[rollout, look, revision].tolist())
        requests = sum(counts)
        return Tally(
            requests=requests,
            errors=float(self.errors[rollout, look, revision]),
            seconds=Histogram(BOUNDS, counts, MEDIAN_SECONDS * requests),
        )


@dataclass
class Traffic:
    """One step of many rollouts at once: some looks more at each call."""

    world: World
    rate: float
    share: float
    chance: np.random.Generator

    def counted(self, rollouts: int, looks: int, before: Counts | None = None) -> Counts:
        shares = (self.share, 1 - self.share)
        worlds = ((self.world.errors, self.world.slowdown), (BASE_ERRORS, 1.0))
        seconds = np.empty((rollouts, looks, 2, len(BOUNDS) + 1))
        errors = np.empty((rollouts, looks, 2))
        for revision, (share, (bad, slowdown)) in enumerate(zip(shares, worlds, strict=True)):
            expected = self.rate * LOOK_SECONDS * share * np.array(tuple(_buckets(slowdown)))
            seconds[:, :, revision] = self.chance.poisson(expected, (rollouts, looks, len(expected)))
            errors[:, :, revision] = self.chance.binomial(seconds[:, :, revision].sum(axis=-1).astype(np.int64), bad)
        errors, seconds = errors.cumsum(axis=1), seconds.cumsum(axis=1)
        if before is not None:
            errors, seconds = errors + before.errors[:, -1:], seconds + before.seconds[:, -1:]
        return Counts(errors, seconds)


def _buckets(slowdown: float) -> Iterator[float]:
    """How likely a log-normal latency is in each bucket."""
    below = 0.0
    for bound in BOUNDS:
        reached = 0.5 * (1 + erf(log(bound / (MEDIAN_SECONDS * slowdown)) / SPREAD / sqrt(2)))
        yield reached - below
        below = reached
    yield 1 - below


def only(counts: Counts, rollouts: Any) -> Counts:
    return Counts(counts.errors[rollouts], counts.seconds[rollouts])
