"""Our rule on simulated requests: fail at once, pass after the hold, wait for either."""

from dataclasses import dataclass
from math import log, pi

import numpy as np
import numpy.typing as npt

from bench.simulated_rollouts import (
    BOUNDS,
    CANDIDATE,
    CONTROL,
    LOOK_SECONDS,
    P95_SECONDS,
    Counts,
    Floats,
    Traffic,
    only,
)
from dialogue_operator.api.rollout import Gate
from dialogue_operator.rollout.gates import judge
from dialogue_operator.rollout.gates.judge import FALSE_ABORT, FALSE_PROMOTION
from dialogue_operator.rollout.gates.mixture import OF_CONTROL, TILTS
from dialogue_operator.rollout.gates.percentiles import Percentile, PercentileRatio
from dialogue_operator.rollout.gates.shares import Share, ShareDifference

Bools = npt.NDArray[np.bool_]
ERRORS = Gate(name="errors", metric="errorRate", margin="0.5%", min_samples=200)
LATENCY = Gate(name="latency", metric="latencyP95", margin="15%", min_samples=200)
MARGIN, RATIO = 0.005, 1.15
COMPARISONS = 6  # two gates, three steps
HOLD_LOOKS = 300 // LOOK_SECONDS
DEADLINE_LOOKS = 24 * 3600 // LOOK_SECONDS
SLACK = 0.01  # of a screen's evidence beside the judge's, whose own search stops a little short


@dataclass
class Ends:
    """How rollouts ended; seconds and the candidate's requests and errors until then. Neither abort nor promotion: paused."""

    aborted: Bools
    promoted: Bools
    seconds: Floats
    requests: Floats
    errors: Floats

    @classmethod
    def open(cls, rollouts: int) -> "Ends":
        none, zero = np.zeros(rollouts, dtype=bool), np.zeros(rollouts)
        return cls(none.copy(), none.copy(), zero.copy(), zero.copy(), zero.copy())

    def spend(self, rollout: int, counts: Counts, row: int, look: int, looks: int) -> None:
        """A step of this rollout ended at this look, the `looks`-th of the step."""
        self.seconds[rollout] += looks * LOOK_SECONDS
        self.requests[rollout] += counts.seconds[row, look, CANDIDATE].sum()
        self.errors[rollout] += counts.errors[row, look, CANDIDATE]


def judged_step(
    ends: Ends, active: npt.NDArray[np.int64], first: Counts, traffic: Traffic, deadline: int = DEADLINE_LOOKS
) -> npt.NDArray[np.int64]:
    """Returns who goes on to the next step.

    The judge is asked at every look that could have a verdict. Which could is found out by its evidence at one point, an
    upper bound of the least over all points that the judge looks for: a look that is left out has no verdict.
    """
    counts, seen, passed = only(first, active), 0, []
    while len(active) and seen < deadline:
        looks = counts.errors.shape[1]
        numbers = seen + 1 + np.arange(looks)
        failing, passing = screened(counts)
        passing &= numbers >= HOLD_LOOKS
        undecided = np.ones(len(active), dtype=bool)
        for row in np.flatnonzero((failing | passing).any(axis=1)):
            for look in np.flatnonzero(failing[row] | passing[row]):
                verdicts = _verdicts(counts, row, look)
                if "Fail" in verdicts or (numbers[look] >= HOLD_LOOKS and verdicts == {"Pass"}):
                    ends.spend(int(active[row]), counts, row, look, int(numbers[look]))
                    ends.aborted[active[row]] = "Fail" in verdicts
                    undecided[row] = False
                    if "Fail" not in verdicts:
                        passed.append(int(active[row]))
                    break
        active, counts, seen = active[undecided], only(counts, undecided), seen + looks
        if len(active):
            more = int(min(max(60, 4_000_000 // (30 * len(active))), 720, max(60, seen)))
            counts = traffic.counted(len(active), more, counts)
    for rollout in active:
        ends.seconds[rollout] += deadline * LOOK_SECONDS
    return np.array(sorted(passed), dtype=np.int64)


def _verdicts(counts: Counts, row: int, look: int) -> set[str]:
    """The judge's; it is not asked for its sentence where its own evidence, which is had for less, has no verdict."""
    ours, theirs = counts.tally(row, look, CANDIDATE), counts.tally(row, look, CONTROL)
    errors = ShareDifference(Share(ours.errors, ours.requests), Share(theirs.errors, theirs.requests))
    latency = PercentileRatio(Percentile(ours.seconds, 0.05), Percentile(theirs.seconds, 0.05))
    fail, promote = log(COMPARISONS / FALSE_ABORT), log(1 / FALSE_PROMOTION)
    passes = errors.below(MARGIN) >= promote and latency.below(RATIO) >= promote
    if not passes and errors.above(MARGIN) < fail and latency.above(RATIO) < fail:
        return set()
    return {judge(gate, ours, theirs, comparisons=COMPARISONS).verdict for gate in (ERRORS, LATENCY)}


def screened(counts: Counts) -> tuple[Bools, Bools]:
    """At which looks some gate might fail, and at which all might pass."""
    requests, fail, promote = counts.requests, log(COMPARISONS / FALSE_ABORT) - SLACK, log(1 / FALSE_PROMOTION) - SLACK
    enough = requests.min(axis=-1) >= ERRORS.min_samples
    share = (counts.errors[..., CONTROL] + 0.5) / (requests[..., CONTROL] + 1)
    spread = np.sqrt(share * (1 - share) / np.maximum(requests[..., CONTROL], 1))
    flat = np.full(share.shape, 0.05)

    def possible(hits: Floats, ours: Floats, theirs: Floats, level: float, at: Bools) -> Bools:
        found = at.copy()
        found[at] = _evidence(hits[at], requests[at], ours[at], theirs[at]) >= level
        return found

    failing = passing = enough
    for near in (1.0, 0.997, 1.003, 0.99, 1.01, 0.98, 1.02, 0.97, 1.03):
        places = (near * P95_SECONDS * RATIO, near * P95_SECONDS)  # of the candidate, of the control
        slower = np.stack([_slower(counts.seconds[..., arm, :], places[arm]) for arm in (CANDIDATE, CONTROL)], -1)
        failing = possible(slower, flat, flat, fail, failing)
        passing = possible(requests - slower, flat + 0.9, flat + 0.9, promote, passing)
    failed_errors = enough
    for far in range(14):
        at = np.asarray(np.minimum(share + far / 2 * spread, 0.9), dtype=np.float64)
        failed_errors = possible(counts.errors, at + MARGIN, at, fail, failed_errors)
        passing = possible(requests - counts.errors, 1 - at - MARGIN, 1 - at, promote, passing)
    return failing | failed_errors, passing


def _evidence(hits: Floats, trials: Floats, ours: Floats, theirs: Floats) -> Floats:
    """`mixture.two_arms` of many at once."""
    larger = trials.max(axis=-1)
    scale = trials[..., ::-1] / larger[..., None]
    total = np.zeros(hits.shape[:-1])
    for tilt, weight in TILTS:
        up, down = tilt * scale[..., CANDIDATE], -tilt * scale[..., CONTROL]
        total += _exp(
            weight
            + up * hits[..., CANDIDATE] - trials[..., CANDIDATE] * np.log1p(ours * np.expm1(up))
            + down * hits[..., CONTROL] - trials[..., CONTROL] * np.log1p(theirs * np.expm1(down))
        )  # fmt: skip
    few, many = hits[..., CONTROL], trials[..., CONTROL]
    mixed = _log_gamma(few + 0.5) + _log_gamma(many - few + 0.5) - _log_gamma(many + 1) - log(pi)
    alone = mixed - few * np.log(theirs) - (many - few) * np.log1p(-theirs)
    return np.asarray(np.log((1 - OF_CONTROL) * total + OF_CONTROL * _exp(alone)))


def _exp(values: Floats) -> Floats:
    return np.asarray(np.exp(np.minimum(values, 500)))  # more is more than enough


def _log_gamma(values: Floats) -> Floats:
    """Stirling's series, eight steps further up, where it is exact to nine digits."""
    far = values + 8
    series = (far - 0.5) * np.log(far) - far + 0.5 * log(2 * pi) + 1 / (12 * far) - 1 / (360 * far**3)
    return np.asarray(series - np.log(np.prod([values + step for step in range(8)], axis=0)))


def _slower(buckets: Floats, seconds: float) -> Floats:
    """How many are above so many seconds, spread evenly over the logarithm within their bucket."""
    at = int(np.searchsorted(BOUNDS, seconds))
    part = log(seconds / BOUNDS[at - 1]) / log(BOUNDS[at] / BOUNDS[at - 1])
    return np.asarray(buckets[..., at + 1 :].sum(axis=-1) + (1 - part) * buckets[..., at])
