"""What pods counted since a step was first looked at, from their counters alone: pure, and small enough to keep.

A counter says how much there was since its process began. So the first look at a pod sets the mark, unless the pod is
younger than the step, and each later one adds what came on top. What a pod counted stays counted when it is gone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dialogue_operator.cluster.evidence.tallies import Series

Values = Mapping[Series, float]


@dataclass(frozen=True)
class Reading:
    """One pod's counters, and when its process says it began (0 where it does not say)."""

    values: Values
    born: float = 0.0


@dataclass
class Book:
    """Of one step of one rollout. `shared` keeps each series' name once, however many pods have it."""

    counts: dict[Series, float] = field(default_factory=dict)
    last: dict[str, Reading] = field(default_factory=dict)  # by pod uid
    shared: dict[Series, Series] = field(default_factory=dict)

    def add(self, pod: str, reading: Reading, young: bool) -> None:
        """`young`: the pod began after the step did, so all it counted belongs to the step."""
        values = {self.shared.setdefault(series, series): value for series, value in reading.values.items()}
        before = self.last.get(pod)
        self.last[pod] = Reading(values, reading.born)
        since = _mark(before, reading, young)
        for series, value in values.items():
            self.counts[series] = self.counts.get(series, 0.0) + value - since.get(series, 0.0)

    def forget_others(self, pods: Iterable[str]) -> None:
        """Pods that are gone never come back under the same uid."""
        for gone in self.last.keys() - set(pods):
            del self.last[gone]


def _mark(before: Reading | None, reading: Reading, young: bool) -> Values:
    """What to count from. A series that a pod shows for the first time, a variant's say, counts from 0."""
    if before is None:
        return {} if young else reading.values
    fell = any(value < before.values.get(series, 0.0) for series, value in reading.values.items())
    return {} if fell or reading.born != before.born else before.values
