"""Interleaved runs A B C A B C, of which those count that nobody disturbed."""

import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from dialogue_predictor.bench.processes import Reply
from dialogue_predictor.bench.settings import Setting, groups
from dialogue_predictor.bench.work import Work

DISTURBED = 0.06  # of the machine used by others
ENOUGH_SECONDS = 0.5  # a sample is at least that long
MOST_REPEATS = 20
WARM_UP_TOKENS = 4


class Askable(Protocol):
    """A worker."""

    def ask(self, work: Work, group: int = 0, *, repeat: int = 1, outputs: bool = False) -> Reply: ...


@dataclass(frozen=True)
class Pace:
    """How long to measure: undisturbed samples wanted, seconds of sampling at most, seconds to wait for quiet."""

    rounds: int
    budget: float
    patience: float


@dataclass
class Samples:
    """What runs of one setting took. Once enough undisturbed ones are there, only those count; before, the least
    disturbed of all."""

    replies: list[Reply] = field(default_factory=list)

    @property
    def undisturbed(self) -> list[Reply]:
        return [reply for reply in self.replies if reply.foreign <= DISTURBED]

    @property
    def counted(self) -> list[Reply]:
        quiet = self.undisturbed
        if len(quiet) >= min(3, len(self.replies)):
            return quiet
        return sorted(self.replies, key=lambda reply: reply.foreign)[:3]

    @property
    def dropped(self) -> int:
        return len(self.replies) - len(self.counted)

    @property
    def disturbed(self) -> int:
        """Samples that count although others disturbed them, for want of better ones."""
        return sum(reply.foreign > DISTURBED for reply in self.counted)

    @property
    def seconds(self) -> float:
        return statistics.median(reply.seconds for reply in self.counted)

    @property
    def spread(self) -> tuple[float, float]:
        seconds = [reply.seconds for reply in self.counted]
        return min(seconds), max(seconds)

    @property
    def tokens_a_second(self) -> float:
        return self.replies[0].tokens / self.seconds

    @property
    def peak_mib(self) -> float:
        return max(reply.peak_mib for reply in self.replies)

    @property
    def outputs(self) -> list[list[int]]:
        return next(reply.outputs for reply in self.replies if reply.outputs is not None)


def tuned(running: Mapping[Setting, Askable], work: Work, quick: bool) -> list[Setting]:
    """The settings to measure: every layout with all its sources at once or in equal parts, and with the group that
    was fastest in a trial run where that is another one. Warms every worker up."""
    wanted: list[Setting] = []
    for setting, worker in running.items():
        candidates = groups(setting, work.batch, quick)
        worker.ask(replace(work, target=WARM_UP_TOKENS), candidates[0])
        if len(candidates) > 1:
            trials = {group: worker.ask(work, group).seconds for group in candidates}
            fastest = min(trials, key=trials.__getitem__)
        else:
            fastest = candidates[0]
        plain = candidates[0] if setting.layout.instances == 1 else fastest
        wanted += [setting.grouped(group) for group in dict.fromkeys((plain, fastest))]
    return wanted


def measure(
    running: Mapping[Setting, Askable],
    settings: Sequence[Setting],
    work: Work,
    pace: Pace,
    wait: Callable[[float], None],
) -> dict[Setting, Samples]:
    """Rounds over all settings until each has enough undisturbed samples or the budget is spent; at least `rounds`."""
    samples = {setting: Samples() for setting in settings}
    began, rounds = time.monotonic(), 0
    while not finished(samples.values(), rounds, pace, time.monotonic() - began):
        for setting, taken in samples.items():
            wait(pace.patience)
            worker = running[setting.grouped(0)]
            repeat = repeats(taken.seconds) if taken.replies else 1
            taken.replies.append(worker.ask(work, setting.group, repeat=repeat, outputs=not taken.replies))
        rounds += 1
    return samples


def finished(samples: Iterable[Samples], rounds: int, pace: Pace, elapsed: float) -> bool:
    if rounds < pace.rounds:
        return False
    return elapsed > pace.budget or all(len(taken.undisturbed) >= pace.rounds for taken in samples)


def repeats(seconds: float) -> int:
    return max(1, min(MOST_REPEATS, math.ceil(ENOUGH_SECONDS / seconds)))


def best(samples: Mapping[Setting, Samples], engine: str) -> tuple[Setting, Samples]:
    """An engine's fastest setting."""
    mine = {setting: taken for setting, taken in samples.items() if setting.engine == engine}
    setting = min(mine, key=lambda one: mine[one].seconds)
    return setting, mine[setting]


def agreement(one: Samples, other: Samples) -> float:
    """The share of sources to which both give the same reply."""
    pairs = list(zip(one.outputs, other.outputs, strict=True))
    return sum(first == second for first, second in pairs) / len(pairs)
