"""What revisions did, counted since a step began: all that a gate looks at.

Counts are sums over a revision's pods. They are numbers, not integers: Prometheus extrapolates.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Histogram:
    """How many values fell at or below each bound and above the one before; the last count is of those above all bounds."""

    bounds: tuple[float, ...] = ()  # ascending, without infinity
    counts: tuple[float, ...] = ()  # one more than bounds, or none at all
    total: float = 0.0  # the sum of the values

    @property
    def samples(self) -> float:
        return sum(self.counts)


@dataclass(frozen=True)
class Tally:
    """One revision. Requests are those that were ours to answer: `ok` and `server_error`, not clients' mistakes."""

    requests: float = 0.0
    errors: float = 0.0  # of them, `server_error`
    seconds: Histogram = field(default_factory=Histogram)  # of requests; cache hits are left out
    replies: float = 0.0
    degenerate: float = 0.0  # replies that are wrong on their face, of whatever kinds
    tokens: Histogram = field(default_factory=Histogram)  # of each reply
    margins: Histogram = field(default_factory=Histogram)  # the best hypothesis' lead over the second
    feedback: float = 0.0  # users' votes
    negative: float = 0.0  # of them, thumbs down


@dataclass(frozen=True)
class Answer:
    """What a gate's own query said: its last value, and how often it has answered in this step."""

    value: float | None
    count: int


@dataclass(frozen=True)
class Evidence:
    """Of one rollout and step, since `step_started_at`; it says nothing about any other."""

    rollout_id: int
    step: int
    tallies: Mapping[str, Tally] = field(default_factory=dict)  # by revision
    answers: Mapping[tuple[str, str], Answer] = field(default_factory=dict)  # by (gate, revision)
    problem: str = ""  # why there is none, such as Prometheus that does not answer
