"""How far a run is, what rate that means, and when it is over: arithmetic alone.

The rate follows the share of the budget that is spent, whichever of steps and minutes is nearer its end, so a run on a
slow machine still ends with a small rate instead of being cut off at a large one.
"""

import math
from dataclasses import dataclass
from typing import Literal

Decay = Literal["cosine", "linear"]


@dataclass(frozen=True, slots=True)
class Progress:
    """`step` updates over `tokens` were made in `seconds` of training; the seconds decide the learning rate."""

    step: int = 0
    seconds: float = 0.0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """The run ends after `max_steps` or `max_seconds`, whichever comes first."""

    max_steps: int
    max_seconds: float = math.inf
    peak_rate: float = 1e-3
    final_rate: float = 2e-5
    warmup_steps: int = 200
    decay: Decay = "cosine"

    def __post_init__(self) -> None:
        for name in ("max_steps", "max_seconds", "peak_rate", "warmup_steps"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")

    def spent(self, progress: Progress) -> float:
        """The share of the budget that is used up, in [0, 1]."""
        return min(1.0, max(progress.step / self.max_steps, progress.seconds / self.max_seconds))

    def rate(self, progress: Progress) -> float:
        """Linear warm-up by steps, times what falls from peak to final by share of the budget."""
        warm = min(1.0, (progress.step + 1) / self.warmup_steps)
        spent = self.spent(progress)
        left = 1 - spent if self.decay == "linear" else 0.5 * (1 + math.cos(math.pi * spent))
        final = min(self.final_rate, self.peak_rate)
        return warm * (final + (self.peak_rate - final) * left)

    def seconds_left(self, progress: Progress) -> float:
        """At the pace so far; infinite before the first step."""
        spent = self.spent(progress)
        return progress.seconds * (1 - spent) / spent if spent else math.inf


@dataclass(frozen=True, slots=True)
class Stopping:
    """The lowest validation loss so far, and how many validations ago it was."""

    best: float = math.inf
    since: int = 0

    def after(self, loss: float) -> "Stopping":
        return Stopping(loss) if loss < self.best else Stopping(self.best, self.since + 1)

    def over(self, patience: int | None) -> bool:
        """Whether `patience` validations in a row were no better; never without one."""
        return patience is not None and self.since >= patience
