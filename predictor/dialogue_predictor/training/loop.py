"""The one training loop: batches in, updates, an average of the weights, validations, checkpoints, points to watch.

A task is a module that turns a batch into a `Loss`; what its state dict holds is averaged and saved, so a frozen teacher
stays out of it. The loop knows neither what is learnt nor how many processes learn it (`ranks`).
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from dialogue_predictor.training.checkpoint import Training, exists, load_checkpoint, save_checkpoint
from dialogue_predictor.training.interrupts import Interrupted, interrupts
from dialogue_predictor.training.objectives import Loss
from dialogue_predictor.training.observers import Observer, Point, Silent, peak_memory
from dialogue_predictor.training.optimizer import averaged, fresh_average, make_optimizer, update_average
from dialogue_predictor.training.ranks import Alone, BatchT, Ranks
from dialogue_predictor.training.schedule import Progress, Schedule

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES: Mapping[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class LoopOptions:
    """`accumulate` batches make one update. `average_decay` bounds the moving average; early on it is shorter.

    With `patience` the run ends after that many validations in a row that were no better, with the best weights.
    """

    precision: Precision = "bf16"
    accumulate: int = 1
    clip_norm: float = 1.0
    weight_decay: float = 0.01
    average_decay: float = 0.998
    report_steps: int = 50
    validate_steps: int = 500
    patience: int | None = None
    checkpoint_seconds: float = 180.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """`weights`: the averaged ones (of the best validation with `patience`), whole, by the task's names, on the first rank."""

    weights: dict[str, Tensor]
    progress: Progress
    history: tuple[Point, ...]

    @property
    def report(self) -> dict[str, Any]:
        """For `report.json`."""
        progress = self.progress
        losses = [point.validation for point in self.history if point.validation is not None]
        return {
            "steps": progress.step,
            "seconds": round(progress.seconds, 3),
            "tokens": progress.tokens,
            "tokens_per_second": round(progress.tokens / max(progress.seconds, 1e-9), 1),
            "peak_memory_bytes": max((point.peak_memory for point in self.history), default=peak_memory()),
            "validation_loss": min(losses, default=None),
            "history": [asdict(point) for point in self.history],
        }


def train(
    task: nn.Module,
    batches: Callable[[int], Iterator[BatchT]],
    schedule: Schedule,
    options: LoopOptions,
    *,
    validation: Sequence[BatchT] = (),
    checkpoint: tuple[Path, Mapping[str, Any]] | None = None,
    ranks: Ranks | None = None,
    observer: Observer | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Train `task` until the schedule's budget is spent or the patience is over.

    `batches(n)` goes on for ever from the n-th batch. `checkpoint` is a folder and the facts that must be the same when a
    run goes on from it, which it does where the folder exists. On SIGINT and SIGTERM the step is finished and saved, then
    Interrupted is raised. Raises ValueError when the loss is no number, OSError when a checkpoint cannot be written.
    """
    ranks, observer = ranks or Alone(), observer or Silent()
    placed = ranks.place(task)
    scaler = torch.amp.GradScaler(ranks.device.type, enabled=options.precision == "fp16")
    unread = torch.zeros((), dtype=torch.float64, device=ranks.device)
    training = Training(task, make_optimizer(task, options.weight_decay), scaler, fresh_average(task), unread)
    if checkpoint is not None and exists(checkpoint[0]):
        load_checkpoint(checkpoint[0], training, ranks, checkpoint[1])
        observer.say(f"resuming at step {training.progress.step}")
    stream = batches(training.progress.step * options.accumulate)
    started = clock() - training.progress.seconds
    saved, mark = training.progress.seconds, training.progress
    task.train()
    with interrupts() as interrupted:
        while schedule.spent(training.progress) < 1.0 and not training.stopping.over(options.patience):
            rate = schedule.rate(training.progress)
            micro = [next(stream) for _ in range(options.accumulate)]
            update(placed, training, micro, rate, options, ranks)
            seconds, stop = ranks.maximum(clock() - started, float(interrupted()))
            step, tokens = training.progress.step + 1, training.progress.tokens + sum(batch.tokens for batch in micro)
            training.progress = Progress(step, seconds, tokens)
            update_average(training.average, task, min(options.average_decay, step / (step + 10)))
            observer.advance(training.progress, schedule)
            ending = schedule.spent(training.progress) == 1.0
            validating = bool(validation) and (step % options.validate_steps == 0 or ending)
            if validating or step % options.report_steps == 0:
                point = measured(training, rate, mark, ranks)
                if validating:
                    point = replace(point, validation=validate(placed, training, validation, options, ranks))
                training.history.append(point)
                mark = replace(training.progress, seconds=clock() - started)
                observer.measure(point, training.progress, schedule)
            if checkpoint is not None and (stop or seconds - saved >= options.checkpoint_seconds):
                save_checkpoint(checkpoint[0], training, ranks, checkpoint[1])
                saved = seconds
            if stop:
                raise Interrupted(step, saved=checkpoint is not None)
    if checkpoint is not None:
        save_checkpoint(checkpoint[0], training, ranks, checkpoint[1])
    weights = ranks.gather_state(training.best or training.average)
    return Outcome(weights, training.progress, tuple(training.history))


def update(
    placed: nn.Module, training: Training, micro: Sequence[BatchT], rate: float, options: LoopOptions, ranks: Ranks
) -> None:
    """One step down the gradient of the mean over all units of all batches and replicas.

    Every batch's mean counts by its share of the units. Dropout follows from seed, step and replica alone: a resumed run
    draws as the whole one would have.
    """
    torch.manual_seed(((options.seed * 1_000_003 + training.progress.step) * 4_099 + ranks.replica) % 2**63)
    units = sum(batch.units for batch in micro)
    for batch in micro:
        own = ranks.share(batch)
        with computing(ranks.device, options.precision):
            loss: Loss = placed(own)
        share = own.units * ranks.replicas / units
        with attention_kernel(ranks.device):
            training.scaler.scale(loss.mean * share).backward()  # type: ignore[no-untyped-call]
        if own.units:
            training.unread += loss.nll.detach()
    training.unread_units += units
    for group in training.optimizer.param_groups:
        group["lr"] = rate
    training.scaler.unscale_(training.optimizer)
    ranks.clip((value for group in training.optimizer.param_groups for value in group["params"]), options.clip_norm)
    training.scaler.step(training.optimizer)
    training.scaler.update()
    training.optimizer.zero_grad(set_to_none=True)


def computing(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    stack = ExitStack()
    stack.enter_context(attention_kernel(device))
    stack.enter_context(torch.autocast(device.type, DTYPES[precision], enabled=precision != "fp32"))
    return stack


def attention_kernel(device: torch.device) -> AbstractContextManager[Any]:
    """The plain kernel is the faster one on a CPU: sequences are short."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


def measured(training: Training, rate: float, mark: Progress, ranks: Ranks) -> Point:
    """The point of now, and the loss summed up anew. Reading the loss waits for the device, so it is done here alone.

    Speed is that of this process since `mark`. Raises ValueError when the loss is no number.
    """
    progress = training.progress
    nll = ranks.total(float(training.unread))
    if not math.isfinite(nll):
        raise ValueError(f"the loss at step {progress.step} is {nll}: choose a lower learning rate, or fp32")
    loss = nll / training.unread_units if training.unread_units else None
    training.unread, training.unread_units = torch.zeros_like(training.unread), 0
    speed = (progress.tokens - mark.tokens) / max(progress.seconds - mark.seconds, 1e-9)
    return Point(progress.step, round(progress.seconds, 3), progress.tokens, rate, round(speed, 1), peak_memory(), loss)


def validate(
    placed: nn.Module, training: Training, validation: Sequence[BatchT], options: LoopOptions, ranks: Ranks
) -> float:
    """The averaged weights' mean loss a unit, in nats; where the run may stop early, the best weights are kept."""
    nll, units = torch.zeros_like(training.unread), 0
    with averaged(training.task, training.average), torch.no_grad():
        for batch in validation:
            own = ranks.share(batch)
            with computing(ranks.device, options.precision):
                loss: Loss = placed(own)
            if own.units:
                nll += loss.nll
            units += batch.units
    mean = ranks.total(float(nll)) / units
    before, training.stopping = training.stopping, training.stopping.after(mean)
    if options.patience is not None and training.stopping.best < before.best:
        training.best = {name: value.clone() for name, value in training.average.items()}
    return mean
