"""Shares: errors of requests, degenerate ones of replies, thumbs down of votes."""

from dataclasses import dataclass
from functools import cached_property
from math import inf, log, sqrt

from dialogue_operator.rollout.gates.mixture import OF_CONTROL, of_a_share, one_arm, two_arms
from dialogue_operator.rollout.gates.question import REFUTED
from dialogue_operator.rollout.gates.search import edge, least


@dataclass(frozen=True)
class Share:
    """How large a share is."""

    hits: float
    trials: float

    @property
    def estimate(self) -> float:
        return self.hits / self.trials

    @property
    def variance(self) -> float:
        """Of the estimate; half a hit and half a miss are added, so that it is never nought."""
        smooth = (self.hits + 0.5) / (self.trials + 1)
        return smooth * (1 - smooth) / self.trials

    @property
    def step(self) -> float:
        return sqrt(self.variance)

    @property
    def bounds(self) -> tuple[float, float]:
        return 0.0, 1.0

    @property
    def missed(self) -> "Share":
        return Share(self.trials - self.hits, self.trials)

    @cached_property
    def possible(self) -> tuple[float, float]:
        """All shares that these counts do not refute by themselves."""

        def against(share: float) -> float:
            return of_a_share(self.hits, self.trials, share)

        enough, start, step = REFUTED - log(OF_CONTROL), self.estimate, 4 * self.step
        return edge(against, start, step, 0.0, enough), edge(against, start, step, 1.0, enough)

    def above(self, limit: float) -> float:
        if not 0 <= limit < 1:
            return REFUTED if limit < 0 else -inf
        return one_arm(self.hits, self.trials, limit)

    def below(self, limit: float) -> float:
        return self.missed.above(1 - limit)


@dataclass(frozen=True)
class ShareDifference:
    """How much larger the candidate's share is than the control's."""

    candidate: Share
    control: Share

    @property
    def estimate(self) -> float:
        return self.candidate.estimate - self.control.estimate

    @property
    def step(self) -> float:
        return sqrt(self.candidate.variance + self.control.variance)

    @property
    def bounds(self) -> tuple[float, float]:
        return -1.0, 1.0

    @cached_property
    def _flipped(self) -> "ShareDifference":
        return ShareDifference(self.candidate.missed, self.control.missed)

    def above(self, limit: float) -> float:
        """The least evidence over all shares that the control may have; convex in it, for the logarithm is concave."""
        ours, theirs = self.candidate, self.control
        low, high = theirs.possible
        low = max(low, -limit)  # below that, the candidate's share would be negative: not part of the hypothesis
        if low > high:
            return REFUTED

        def against(share: float) -> float:
            return two_arms(ours.hits, ours.trials, min(1.0, share + limit), theirs.hits, theirs.trials, share)

        return min(least(against, low, high), REFUTED)

    def below(self, limit: float) -> float:
        return self._flipped.above(-limit)
