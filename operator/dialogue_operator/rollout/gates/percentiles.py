"""Percentiles of latencies, from histograms.

That a percentile is at most so many seconds says how many of a hundred requests are slower than that: a share, which is
known exactly at the percentile itself (Howard & Ramdas 2022, "Sequential estimation of quantiles with applications to A/B
testing and best-arm identification", Bernoulli 28(3)). So percentiles are judged by `mixture`, as shares are, and no
density is estimated. Of two arms, the hypothesis that the candidate's percentile is at most `ratio` times the control's
is refuted when every point is that the control's percentile may lie at.

Within a bucket, values are taken to be spread evenly over the logarithm. With neighbours a fifth apart that misplaces the
percentile of a smooth distribution by about 1 %, well within the margins that people set (a candidate worse by exactly
the margin passes a little oftener than promised); where all values crowd at one point, by as much as the bucket is wide.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import exp, inf, log

from dialogue_operator.rollout.evidence import Histogram
from dialogue_operator.rollout.gates.mixture import OF_CONTROL, of_a_share, one_arm, two_arms
from dialogue_operator.rollout.gates.question import REFUTED
from dialogue_operator.rollout.gates.search import edge, least


@dataclass(frozen=True)
class Percentile:
    """Where the slowest `slow` (0.05 for P95) of all values begin."""

    histogram: Histogram
    slow: float

    @cached_property
    def marks(self) -> tuple[float, ...]:
        """The bounds, after one below them: nothing is known of where the first bucket begins."""
        bounds = self.histogram.bounds
        return (bounds[0] * (bounds[0] / bounds[1] if len(bounds) > 1 else 0.5), *bounds)

    @cached_property
    def slower(self) -> tuple[float, ...]:
        """How many values are above each mark."""
        found = [self.histogram.counts[-1]]
        for count in reversed(self.histogram.counts[:-1]):
            found.append(found[-1] + count)
        return tuple(reversed(found))

    @property
    def samples(self) -> float:
        return self.slower[0]

    def beyond(self, seconds: float, unknown: float = 0.0) -> float:
        """How many values are above so many seconds; `unknown` where that is above all bounds."""
        if seconds <= self.marks[0]:
            return self.samples
        if seconds > self.marks[-1]:
            return unknown
        at = bisect_left(self.marks, seconds)
        part = log(seconds / self.marks[at - 1]) / log(self.marks[at] / self.marks[at - 1])
        return self.slower[at - 1] + part * (self.slower[at] - self.slower[at - 1])

    def where(self, count: float) -> float:
        """Above how many seconds so many values are."""
        if count < self.slower[-1]:
            return inf
        at = next((i for i, more in enumerate(self.slower) if more <= count), len(self.slower) - 1)
        if at == 0:
            return self.marks[0]
        part = (self.slower[at - 1] - count) / (self.slower[at - 1] - self.slower[at])
        return exp(log(self.marks[at - 1]) + part * log(self.marks[at] / self.marks[at - 1]))

    @cached_property
    def estimate(self) -> float:
        """The last bound where it lies beyond all."""
        return min(self.where(self.slow * self.samples), self.marks[-1])

    @cached_property
    def possible(self) -> tuple[float, float]:
        """From where to where the percentile may lie: all that these counts do not refute by themselves."""

        def against(part: float) -> float:
            return of_a_share(part * self.samples, self.samples, self.slow)

        enough, step = REFUTED - log(OF_CONTROL), 4 * (self.slow * (1 - self.slow) / self.samples) ** 0.5
        few, many = (edge(against, self.slow, step, bound, enough) for bound in (0.0, 1.0))
        return self.where(many * self.samples), self.where(few * self.samples) if few > 0 else inf

    @property
    def step(self) -> float:
        spread = (self.slow * (1 - self.slow) / self.samples) ** 0.5
        near = self.where(min(1.0, self.slow + spread) * self.samples)
        return max(self.estimate - near, 0.01 * self.estimate)

    @property
    def bounds(self) -> tuple[float, float]:
        return 0.0, self.marks[-1]

    def above(self, limit: float) -> float:
        return one_arm(self.beyond(limit), self.samples, self.slow)

    def below(self, limit: float) -> float:
        return one_arm(self.samples - self.beyond(limit, self.slower[-1]), self.samples, 1 - self.slow)


@dataclass(frozen=True)
class PercentileRatio:
    """The candidate's percentile as a multiple of the control's."""

    candidate: Percentile
    control: Percentile

    @property
    def estimate(self) -> float:
        return self.candidate.estimate / self.control.estimate

    @property
    def step(self) -> float:
        ours, theirs = self.candidate, self.control
        return self.estimate * (ours.step / ours.estimate + theirs.step / theirs.estimate)

    @property
    def bounds(self) -> tuple[float, float]:
        """As far as the histograms reach."""
        return self.candidate.marks[0] / self.control.marks[-1], self.candidate.marks[-1] / self.control.marks[0]

    def above(self, limit: float) -> float:
        """How slow the candidate's values beyond all bounds are is not known: as if at the last one."""

        def evidence(slower: float, theirs_slower: float) -> float:
            ours, theirs = self.candidate, self.control
            return two_arms(slower, ours.samples, ours.slow, theirs_slower, theirs.samples, theirs.slow)

        return self._least(evidence, limit, unknown=0.0, beyond=0.0)

    def below(self, limit: float) -> float:
        """The same of the values that are not slower; as if they were slower than anything."""

        def evidence(slower: float, theirs_slower: float) -> float:
            ours, theirs = self.candidate, self.control
            hits, theirs_hits = ours.samples - slower, theirs.samples - theirs_slower
            return two_arms(hits, ours.samples, 1 - ours.slow, theirs_hits, theirs.samples, 1 - theirs.slow)

        unknown = self.candidate.slower[-1]
        beyond = self.candidate.beyond(limit * self.control.marks[-1], unknown)
        return self._least(evidence, limit, unknown, beyond)

    def _least(self, evidence: Callable[[float, float], float], limit: float, unknown: float, beyond: float) -> float:
        """Over all that the control's percentile may be. Between two marks of either arm the evidence is convex.

        Where it may lie beyond all bounds, any number of the values there may be slower than it, and `beyond` is what
        the candidate has at the least or at the most.
        """
        ours, theirs = self.candidate, self.control
        (low, high), last = theirs.possible, theirs.marks[-1]

        def at(place: float) -> float:
            seconds = exp(place)
            return evidence(ours.beyond(limit * seconds, unknown), theirs.beyond(min(seconds, last)))

        found = REFUTED
        if high > last:
            found = least(lambda count: evidence(beyond, count), 0.0, theirs.slower[-1])
        if low > last:
            return min(found, REFUTED)
        high = min(high, last)
        marks = {*theirs.marks, *(mark / limit for mark in ours.marks)}
        points = [log(point) for point in (low, *sorted(mark for mark in marks if low < mark < high), high)]
        values = [at(point) for point in points]
        found = min(found, REFUTED, *values)
        for (left, right), ends in zip(pairwise(points), pairwise(values), strict=True):
            middle = at((left + right) / 2)
            found = min(found, middle)
            if 2 * middle - max(ends) < found:  # as low as a convex line can come here: worth a search
                found = min(found, least(at, left, right))
        return found
