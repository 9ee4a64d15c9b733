"""What the user sees: lines with the time since the start, estimates, and errors that are one sentence."""

import sys
import time
from collections.abc import Callable

_STARTED = time.monotonic()


class ClusterError(Exception):
    """Something went wrong; its text is what the user reads.

    ClusterError            exit code 1
    ├── CommandFailed       1 (shell.py)
    └── NotPossibleHere     3
    """

    exit_code = 1


class NotPossibleHere(ClusterError):
    """This machine cannot run the cluster at all."""

    exit_code = 3


def say(text: str) -> None:
    print(f"[{time.monotonic() - _STARTED:6.1f} s] {text}", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


class Estimate:
    """How much is left of a list of steps whose cold durations are known.

    Caches make a build many times quicker than the table says, so what has been done so far sets the pace:

    >>> steps = Estimate({"a": 100, "b": 300})
    >>> steps.left(now=0)
    400.0
    >>> steps.done("a", now=10)
    >>> steps.left(now=10)
    30.0
    """

    def __init__(self, seconds: dict[str, int]) -> None:
        self._todo = dict(seconds)
        self._expected_so_far = 0
        self._finished_at = 0.0

    def done(self, step: str, now: float) -> None:
        self._expected_so_far += self._todo.pop(step)
        self._finished_at = now

    def left(self, now: float) -> float:
        pace = self._finished_at / self._expected_so_far if self._expected_so_far else 1.0
        return max(0.0, sum(self._todo.values()) * pace - (now - self._finished_at))


def while_waiting(
    poll: Callable[[float], bool], text: Callable[[float], str], every: float = 20.0, step: float = 0.5
) -> None:
    """Call `poll(step)`, which itself waits up to `step` seconds, until it is true; say `text(seconds)` now and then."""
    began = spoke = time.monotonic()
    while not poll(step):
        now = time.monotonic()
        if now - spoke >= every:
            spoke = now
            say(text(now - began))
