"""Two searches along a line: the least value of a convex function, and where evidence becomes enough."""

from collections.abc import Callable
from math import sqrt

_GOLDEN = (sqrt(5) - 1) / 2


def least(function: Callable[[float], float], low: float, high: float, rounds: int = 12) -> float:
    """The least value of a convex function between two points, ends included, by golden sections."""
    best = min(function(low), function(high))
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = function(left), function(right)
    for _ in range(rounds):
        best = min(best, at_left, at_right)
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = function(right)
    return min(best, at_left, at_right)


def edge(evidence: Callable[[float], float], start: float, step: float, bound: float, enough: float) -> float:
    """How far from `start` towards `bound` a value must be until the evidence against it is enough; `bound` if never.

    Evidence grows with the square of the distance, so the search is linear in that square. What it gives is excluded.
    """
    sign, most = (1.0 if bound > start else -1.0), abs(bound - start)
    inside, known = 0.0, evidence(start)
    if known >= enough:
        return start
    outside = step
    while outside < most and (found := evidence(start + sign * outside)) < enough:
        inside, known, outside = outside, found, 2 * outside
    if outside >= most:
        outside = most
        if (found := evidence(bound)) < enough:
            return bound
    for _ in range(12):
        if outside - inside <= 0.02 * outside:
            break
        part = (enough - known) / (found - known)
        middle = sqrt(inside**2 + part * (outside**2 - inside**2))
        middle = min(max(1.005 * middle, inside + 0.1 * (outside - inside)), outside - 0.1 * (outside - inside))
        if (value := evidence(start + sign * middle)) < enough:
            inside, known = middle, value
        else:
            outside, found = middle, value
    return start + sign * outside
