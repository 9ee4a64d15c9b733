"""From a gate and tallies to a question: which counts, which tolerance, in which words."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from dialogue_operator.api.rollout import Gate
from dialogue_operator.api.values import parse_number
from dialogue_operator.rollout.evidence import Histogram, Tally
from dialogue_operator.rollout.gates.means import FEWEST, Mean, MeanRatio
from dialogue_operator.rollout.gates.percentiles import Percentile, PercentileRatio
from dialogue_operator.rollout.gates.shares import Share, ShareDifference

Measured = Share | Percentile | Mean
_SLOWEST = {"latencyP50": 0.5, "latencyP95": 0.05, "latencyP99": 0.01}
_MEANS: dict[str, Callable[[Tally], Histogram]] = {
    "tokensPerReply": lambda tally: tally.tokens,
    "beamMargin": lambda tally: tally.margins,
}
_SHARES: dict[str, Callable[[Tally], tuple[float, float]]] = {
    "errorRate": lambda tally: (tally.errors, tally.requests),
    "degenerateRate": lambda tally: (tally.degenerate, tally.replies),
    "negativeFeedback": lambda tally: (tally.negative, tally.feedback),
}
_OF = {
    "errorRate": "requests",
    "negativeFeedback": "votes",
    "degenerateRate": "replies",
    **dict.fromkeys(_MEANS, "replies"),
}
_ROUNDING = 1.01  # Prometheus extrapolates each series by itself: a part may come out a little larger than its whole

_MOST, _LEAST = 1e15, 1e-9  # no count and no bound is larger than the one, no latency smaller than the other


@dataclass(frozen=True)
class Tolerance:
    """What the value may be; no end where anything goes."""

    least: float | None = None
    most: float | None = None

    @property
    def sides(self) -> int:
        return 2 - [self.least, self.most].count(None)

    def holds(self, value: float) -> bool:
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


class Unusable(ValueError):
    """Numbers that cannot be counts of anything, and why."""


def unit(metric: str) -> str:
    return _OF.get(metric, "requests")


def fewest(gate: Gate) -> int:
    return max(gate.min_samples, FEWEST) if gate.metric in _MEANS else gate.min_samples


def tolerance(gate: Gate) -> Tolerance:
    """With a margin: of a share's difference, of anything else's ratio. The rest as it is written."""
    if gate.margin is None:
        return Tolerance(*(None if text is None else parse_number(text) for text in (gate.min, gate.max)))
    margin = parse_number(gate.margin)
    if gate.metric in _SHARES:
        return Tolerance(most=margin)
    if gate.metric in _SLOWEST:
        return Tolerance(most=1 + margin)
    return Tolerance(max(0.0, 1 - margin), 1 + margin if gate.metric == "tokensPerReply" else None)


def either_way(gate: Gate) -> Tolerance | None:
    """The gate's margin to both sides."""
    if gate.margin is None:
        return None
    margin = parse_number(gate.margin)
    if gate.metric in _SHARES:
        return Tolerance(-margin, margin)
    return Tolerance(1 - margin if margin < 1 else None, 1 + margin)


def no_difference(metric: str) -> Tolerance:
    return Tolerance(0.0, 0.0) if metric in _SHARES else Tolerance(1.0, 1.0)


def samples(metric: str, tally: Tally) -> float:
    """How many values a tally has for this metric. Raises Unusable."""
    if metric in _SHARES:
        found = _SHARES[metric](tally)[1]
    else:
        found = (tally.seconds if metric in _SLOWEST else _MEANS[metric](tally)).samples
    _check((found,))
    return found


def measured(metric: str, tally: Tally) -> Measured:
    """One arm's value. Raises Unusable."""
    if metric in _SHARES:
        hits, trials = _SHARES[metric](tally)
        _check((hits, trials))
        if hits > trials * _ROUNDING + 1:
            raise Unusable(f"{hits:,.6g} of {trials:,.6g} {unit(metric)} is more than all")
        return Share(min(hits, trials), trials)
    if metric in _SLOWEST:
        if tally.seconds.bounds and not tally.seconds.bounds[0] >= _LEAST:
            raise Unusable("the bounds of a latency's histogram must be positive")
        return Percentile(_sound(tally.seconds), _SLOWEST[metric])
    return Mean(_sound(_MEANS[metric](tally)))


def compared(candidate: Measured, control: Measured) -> ShareDifference | PercentileRatio | MeanRatio:
    """Two arms' values. Raises Unusable where they cannot be compared."""
    if isinstance(candidate, Share) and isinstance(control, Share):
        return ShareDifference(candidate, control)
    if isinstance(candidate, Percentile) and isinstance(control, Percentile):
        _alike(candidate.histogram, control.histogram)
        return PercentileRatio(candidate, control)
    if isinstance(candidate, Mean) and isinstance(control, Mean):
        _alike(candidate.histogram, control.histogram)
        if control.estimate < _LEAST:
            raise Unusable("the control's mean is 0, and a part of that says nothing")
        return MeanRatio(candidate, control)
    raise TypeError("two arms of one metric are measured alike")


def _check(numbers: tuple[float, ...]) -> None:
    if not all(0 <= number <= _MOST for number in numbers):
        raise Unusable("counts must be numbers, not negative and not beyond all measure")


def _sound(histogram: Histogram) -> Histogram:
    _check((*histogram.counts, histogram.total))
    if not histogram.bounds or len(histogram.counts) != len(histogram.bounds) + 1:
        raise Unusable("a histogram must have one more count than bounds")
    ascend = all(low < high for low, high in pairwise(histogram.bounds))
    if not ascend or not all(abs(bound) <= _MOST for bound in histogram.bounds):
        raise Unusable("the bounds of a histogram must be finite and ascend")
    return histogram


def _alike(ours: Histogram, theirs: Histogram) -> None:
    if ours.bounds != theirs.bounds:
        raise Unusable("the two revisions' histograms have different bounds")
