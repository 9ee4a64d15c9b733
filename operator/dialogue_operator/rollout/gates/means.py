"""Means of what each reply has one of: its tokens, the best hypothesis' lead."""

from dataclasses import dataclass
from functools import cached_property
from math import sqrt

from dialogue_operator.rollout.evidence import Histogram
from dialogue_operator.rollout.gates.mixture import of_a_mean

FEWEST = 50  # before that, a mean of skewed values is not nearly normal
_FAR = 1e6


@dataclass(frozen=True)
class Mean:
    histogram: Histogram

    @property
    def samples(self) -> float:
        return self.histogram.samples

    @cached_property
    def estimate(self) -> float:
        return self.histogram.total / self.samples

    @cached_property
    def spread(self) -> float:
        """The variance of one value. Within a bucket values may be anywhere: its width counts as if they were spread."""
        bounds, counts = self.histogram.bounds, self.histogram.counts
        edges = (min(0.0, bounds[0]), *bounds)
        known = [(count, (low + high) / 2, high - low) for count, low, high in zip(counts, edges, bounds, strict=False)]
        rest = self.histogram.total - sum(count * middle for count, middle, _ in known)
        far = max(bounds[-1], rest / counts[-1]) if counts[-1] else bounds[-1]
        known.append((counts[-1], far, 0.0))
        summed = sum(count * ((middle - self.estimate) ** 2 + width**2 / 12) for count, middle, width in known)
        return max(summed / self.samples, 1e-12 * self.estimate**2, 1e-300)

    @property
    def step(self) -> float:
        return sqrt(self.spread / self.samples)

    @property
    def bounds(self) -> tuple[float, float]:
        return self.estimate - _FAR * self.step, self.estimate + _FAR * self.step

    def above(self, limit: float) -> float:
        return of_a_mean((self.estimate - limit) / sqrt(self.spread), self.samples)

    def below(self, limit: float) -> float:
        return of_a_mean((limit - self.estimate) / sqrt(self.spread), self.samples)


@dataclass(frozen=True)
class MeanRatio:
    """The candidate's mean as a multiple of the control's, which is positive."""

    candidate: Mean
    control: Mean

    @property
    def estimate(self) -> float:
        return self.candidate.estimate / self.control.estimate

    @property
    def step(self) -> float:
        return sqrt(self.candidate.step**2 + (self.estimate * self.control.step) ** 2) / self.control.estimate

    @property
    def bounds(self) -> tuple[float, float]:
        return 0.0, self.estimate + _FAR

    def above(self, limit: float) -> float:
        return of_a_mean(self._excess(limit), self._samples)

    def below(self, limit: float) -> float:
        return of_a_mean(-self._excess(limit), self._samples)

    @property
    def _samples(self) -> float:
        return min(self.candidate.samples, self.control.samples)

    def _excess(self, ratio: float) -> float:
        """How far the difference of the means is from what that ratio says, in standard deviations of one sample."""
        difference = self.candidate.estimate - ratio * self.control.estimate
        return difference / sqrt(self._samples * (self.candidate.step**2 + (ratio * self.control.step) ** 2))
