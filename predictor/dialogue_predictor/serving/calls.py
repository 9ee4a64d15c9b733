"""Calls in flight, over HTTP and gRPC alike: how many there may be, until when each may run, and draining.

One object counts for both protocols, because they share the processor that the cap protects.
"""

import asyncio
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from dialogue_predictor.errors import InvalidRequest, NotReady, Overloaded
from dialogue_predictor.serving.problems import DEADLINE_EXCEEDED, Outcome, Problem, current_request

HEADER_REQUEST_ID = "x-request-id"
HEADER_TIMEOUT = "x-request-timeout"  # seconds
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@dataclass(slots=True, eq=False)
class Call:
    """One inference in flight. `deadline` is in the loop's time; `lowered`: the client asked for less than we give."""

    request_id: str
    deadline: float
    lowered: bool = False
    outcome: Outcome = "ok"
    limits: list[tuple[asyncio.Timeout, float]] = field(default_factory=list)

    def limit(self) -> asyncio.Timeout:
        """A time-out at the deadline that draining can bring forward."""
        timeout = asyncio.timeout_at(self.deadline)
        self.limits.append((timeout, 0.0))
        return timeout

    def failed(self, problem: Problem) -> None:
        """Note how it ended. A deadline that the client lowered is its own impatience, no fault of ours."""
        impatient = self.lowered and problem.code == DEADLINE_EXCEEDED
        self.outcome = "cancelled" if impatient else problem.outcome

    def allow(self, timeout: asyncio.Timeout, slack: float) -> None:
        """Let `timeout` wait `slack` seconds longer than the deadline, from now on."""
        if not timeout.expired():
            timeout.reschedule(self.deadline + slack)
            self.limits = [(each, slack if each is timeout else old) for each, old in self.limits]

    def shorten(self, deadline: float) -> None:
        self.deadline = min(self.deadline, deadline)
        for timeout, slack in self.limits:
            when = timeout.when()
            if when is not None and when > self.deadline + slack and not timeout.expired():
                timeout.reschedule(self.deadline + slack)


class Admission:
    """Lets at most `most` calls in at a time; none while draining."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._calls: set[Call] = set()
        self.draining = False

    def __len__(self) -> int:
        return len(self._calls)

    @contextmanager
    def admit(self, request_id: str, asked: str | None) -> Iterator[Call]:
        """`asked`: the client's x-request-timeout, which can only lower the deadline.

        Raises InvalidRequest, NotReady or Overloaded.
        """
        seconds = self._seconds if asked is None else min(self._seconds, read_timeout(asked))
        if self.draining:
            raise NotReady("this server is shutting down; try again")
        if len(self._calls) >= self._most:
            raise Overloaded()
        call = Call(request_id, asyncio.get_running_loop().time() + seconds, lowered=seconds < self._seconds)
        current_request.set(request_id)
        self._calls.add(call)
        try:
            yield call
        finally:
            self._calls.discard(call)

    def drain(self, seconds: float) -> None:
        """Refuse new calls; those in flight must end within `seconds`."""
        self.draining = True
        end = asyncio.get_running_loop().time() + seconds
        for call in self._calls:
            call.shorten(end)


def read_timeout(value: str) -> float:
    """Seconds, more than zero."""
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds < float("inf"):
        raise InvalidRequest(HEADER_TIMEOUT, "must be a number of seconds above 0")
    return seconds


def request_id_of(value: str | None) -> str:
    """The client's request id where it is a plain word, otherwise a new one."""
    return value if value is not None and REQUEST_ID.fullmatch(value) else uuid.uuid4().hex
