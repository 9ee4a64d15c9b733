"""Rules of others on the same simulated requests, each with five minutes at each step.

What Argo Rollouts and Flagger know of stable is an absolute bound, as their analyses are mostly written: here one that was
chosen with perfect knowledge of what stable does. A comparison with stable is what their users must write by hand.
"""

import numpy as np

from bench.gate_rules import HOLD_LOOKS, MARGIN, RATIO, Bools, Ends
from bench.simulated_rollouts import (
    BASE_ERRORS,
    BOUNDS,
    CANDIDATE,
    CONTROL,
    LOOK_SECONDS,
    P95_SECONDS,
    Counts,
    Floats,
    only,
)

MINUTE_LOOKS = 60 // LOOK_SECONDS


def thresholds_against_stable(counts: Counts, begin: int, end: int) -> Bools:
    """The same margins, without asking how sure the figures are."""
    errors, seconds = _between(counts, begin, end)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = errors / seconds.sum(axis=-1)
        ratio = _p95(seconds[:, CANDIDATE]) / _p95(seconds[:, CONTROL])
    return np.asarray(~((share[:, CANDIDATE] - share[:, CONTROL] > MARGIN) | (ratio > RATIO)))


def absolute_bounds(counts: Counts, begin: int, end: int) -> Bools:
    """Success rate at least 98.5 %, P95 at most 1.15 times what stable is known to have."""
    errors, seconds = (values[:, CANDIDATE] for values in _between(counts, begin, end))
    with np.errstate(invalid="ignore", divide="ignore"):
        bad = (errors / seconds.sum(axis=-1) > BASE_ERRORS + MARGIN) | (_p95(seconds) > RATIO * P95_SECONDS)
    return np.asarray(~bad)


def fixed_thresholds(steps: list[Counts]) -> Ends:
    """One comparison at the end of each hold."""
    ends = Ends.open(len(steps[0].errors))
    for rollout in range(len(ends.aborted)):
        for counts in steps:
            ends.spend(rollout, counts, rollout, HOLD_LOOKS - 1, HOLD_LOOKS)
            if not thresholds_against_stable(only(counts, [rollout]), 0, HOLD_LOOKS)[0]:
                ends.aborted[rollout] = True
                break
        else:
            ends.promoted[rollout] = True
    return ends


def argo(steps: list[Counts], failure_limit: int) -> Ends:
    """An analysis at each step: five measurements, a minute apart; Failed once more than `failureLimit` have failed."""
    ends, well = Ends.open(len(steps[0].errors)), [_minutes(counts) for counts in steps]
    for rollout in range(len(ends.aborted)):
        for counts, minutes in zip(steps, well, strict=True):
            failed = np.cumsum(~minutes[rollout, :5]) > failure_limit
            minute = int(failed.argmax()) + 1 if failed.any() else 5
            ends.spend(rollout, counts, rollout, minute * MINUTE_LOOKS - 1, minute * MINUTE_LOOKS)
            if failed.any():
                ends.aborted[rollout] = True
                break
        else:
            ends.promoted[rollout] = True
    return ends


def flagger(steps: list[Counts], threshold: int) -> Ends:
    """A check a minute; one that fails holds the weight back and is never forgotten; at the threshold: rollback."""
    ends, well = Ends.open(len(steps[0].errors)), [_minutes(counts) for counts in steps]
    for rollout in range(len(ends.aborted)):
        failed = 0
        for counts, minutes in zip(steps, well, strict=True):
            good = minute = 0
            while good < 5 and failed < threshold:
                good, failed = (good + 1, failed) if minutes[rollout, minute] else (good, failed + 1)
                minute += 1
            ends.spend(rollout, counts, rollout, minute * MINUTE_LOOKS - 1, minute * MINUTE_LOOKS)
            if failed >= threshold:
                break
        ends.aborted[rollout], ends.promoted[rollout] = failed >= threshold, failed < threshold
    return ends


def _minutes(counts: Counts) -> Bools:
    return np.stack(
        [absolute_bounds(counts, begin, begin + MINUTE_LOOKS) for begin in range(0, 2 * HOLD_LOOKS, MINUTE_LOOKS)],
        axis=1,
    )


def _between(counts: Counts, begin: int, end: int) -> tuple[Floats, Floats]:
    if begin == 0:
        return counts.errors[:, end - 1], counts.seconds[:, end - 1]
    return (
        counts.errors[:, end - 1] - counts.errors[:, begin - 1],
        counts.seconds[:, end - 1] - counts.seconds[:, begin - 1],
    )


def _p95(buckets: Floats) -> Floats:
    """As `histogram_quantile` does it: evenly within the bucket; nought where there is nothing."""
    reached = buckets.cumsum(axis=-1)
    wanted = 0.95 * reached[:, -1]
    at = np.minimum((reached >= wanted[:, None]).argmax(axis=-1), len(BOUNDS) - 1)
    rows, edges = np.arange(len(at)), np.array((0.0, *BOUNDS))
    before = np.where(at > 0, reached[rows, at - 1], 0.0)
    part = (wanted - before) / np.maximum(buckets[rows, at], 1e-9)
    return np.where(reached[:, -1] > 0, edges[at] + np.clip(part, 0, 1) * (edges[at + 1] - edges[at]), 0.0)
