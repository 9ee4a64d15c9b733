"""Who watches a run: lines on a pipe, a bar on a terminal, TensorBoard. None of them changes what is trained."""

import math
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dialogue_predictor.training.schedule import Progress, Schedule

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from torch.utils.tensorboard import SummaryWriter


@dataclass(frozen=True, slots=True)
class Point:
    """What was measured at a step: mean losses in nats a unit, since the point before; memory in bytes, at its peak."""

    step: int
    seconds: float
    tokens: int
    rate: float
    tokens_per_second: float
    peak_memory: int
    loss: float | None = None
    validation: float | None = None


class Observer(Protocol):
    def advance(self, progress: Progress, schedule: Schedule) -> None:
        """After every step; must be cheap."""
        ...

    def measure(self, point: Point, progress: Progress, schedule: Schedule) -> None: ...

    def say(self, line: str) -> None: ...

    def close(self) -> None: ...


class Silent:
    """Nobody: of several ranks all but the first."""

    def advance(self, progress: Progress, schedule: Schedule) -> None: ...

    def measure(self, point: Point, progress: Progress, schedule: Schedule) -> None: ...

    def say(self, line: str) -> None: ...

    def close(self) -> None: ...


class Lines(Silent):
    """A plain line for each point."""

    def __init__(self, write: Callable[[str], None] = print) -> None:
        self.write = write

    def measure(self, point: Point, progress: Progress, schedule: Schedule) -> None:
        self.write(line_of(point, schedule.spent(progress), schedule.seconds_left(progress)))

    def say(self, line: str) -> None:
        self.write(line)


class Bar(Silent):
    """One line that stays in its place: share done, loss, speed, time left; validations above it."""

    def __init__(self) -> None:
        self.bars: Bars | None = None
        self.loss = self.speed = ""

    def advance(self, progress: Progress, schedule: Schedule) -> None:
        bars = self.started()
        left = minutes(schedule.seconds_left(progress))
        text = f"step {progress.step}{self.loss}{self.speed}  {left} left"
        bars.update(bars.task_ids[0], completed=schedule.spent(progress), text=text)

    def started(self) -> "Bars":
        if self.bars is None:
            from rich.progress import BarColumn, TaskProgressColumn, TextColumn
            from rich.progress import Progress as Bars

            self.bars = Bars(BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[text]}"))
            self.bars.add_task("", total=1.0, text="")
            self.bars.start()
        return self.bars

    def measure(self, point: Point, progress: Progress, schedule: Schedule) -> None:
        self.speed = f"  {point.tokens_per_second:,.0f} tokens/s"
        if point.loss is not None:
            self.loss = f"  loss {point.loss:.3f}"
        if point.validation is not None:
            self.say(line_of(point, schedule.spent(progress), schedule.seconds_left(progress)))
        self.advance(progress, schedule)

    def say(self, line: str) -> None:
        if self.bars is None:
            print(line)
        else:
            self.bars.console.print(line, markup=False, highlight=False)

    def close(self) -> None:
        if self.bars is not None:
            self.bars.stop()


class TensorBoard(Silent):
    """Curves in a folder for `tensorboard --logdir`; a resumed run's replace what came after its checkpoint."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writer: SummaryWriter | None = None

    def measure(self, point: Point, progress: Progress, schedule: Schedule) -> None:
        if self.writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(self.folder), purge_step=point.step)
        values = {
            "loss/training": point.loss,
            "loss/validation": point.validation,
            "speed/tokens_per_second": point.tokens_per_second,
            "memory/peak_bytes": point.peak_memory,
            "learning_rate": point.rate,
        }
        for name, value in values.items():
            if value is not None:
                self.writer.add_scalar(name, value, point.step)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


class Several:
    def __init__(self, *observers: Observer) -> None:
        self.observers = observers

    def advance(self, progress: Progress, schedule: Schedule) -> None:
        for observer in self.observers:
            observer.advance(progress, schedule)

    def measure(self, point: Point, progress: Progress, schedule: Schedule) -> None:
        for observer in self.observers:
            observer.measure(point, progress, schedule)

    def say(self, line: str) -> None:
        for observer in self.observers:
            observer.say(line)

    def close(self) -> None:
        for observer in self.observers:
            observer.close()


def line_of(point: Point, spent: float, seconds_left: float) -> str:
    losses = [(name, value) for name, value in (("loss", point.loss), ("validation", point.validation))]
    told = "".join(
        f"  {name} {value:6.3f}  perplexity {math.exp(min(value, 20)):9.2f}"
        for name, value in losses
        if value is not None
    )
    return (
        f"step {point.step:6d}{told}  rate {point.rate:.2e}  {point.tokens_per_second:,.0f} tokens/s  "
        f"{spent:6.1%} done, {minutes(seconds_left)} left"
    )


def minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if math.isfinite(seconds) else "unknown time"


def peak_memory() -> int:
    """The most bytes that this process has had in memory."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
