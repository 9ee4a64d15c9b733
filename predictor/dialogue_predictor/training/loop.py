"""The one training loop: batches in, updates, an average of the weights, checkpoints, a line of progress.

The learning rate follows the share of the budget that is spent, whichever of steps and minutes is nearer its end, so a
run on a slow machine still ends with a small rate instead of being cut off at a large one.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from dialogue_predictor.model.transformer import DialogueTransformer
from dialogue_predictor.training.batches import Batch
from dialogue_predictor.training.checkpoint import Progress, save_checkpoint
from dialogue_predictor.training.objectives import Loss

Objective = Callable[[DialogueTransformer, Batch], Loss]


@dataclass(frozen=True, slots=True)
class Schedule:
    """The run ends after `max_steps` or `max_seconds`, whichever comes first."""

    max_steps: int
    max_seconds: float = math.inf
    peak_rate: float = 1e-3
    final_rate: float = 2e-5
    warmup_steps: int = 200

    def spent(self, progress: Progress) -> float:
        """The share of the budget that is used up, in [0, 1]."""
        return min(1.0, max(progress.step / self.max_steps, progress.seconds / self.max_seconds))

    def rate(self, progress: Progress) -> float:
        """Linear warm-up by steps, then a cosine from peak to final by share of the budget."""
        warm = min(1.0, (progress.step + 1) / self.warmup_steps)
        cosine = 0.5 * (1 + math.cos(math.pi * self.spent(progress)))
        return warm * (self.final_rate + (self.peak_rate - self.final_rate) * cosine)


@dataclass(frozen=True, slots=True)
class LoopOptions:
    """`average_decay` bounds the moving average of the weights; early on it is shorter."""

    bf16: bool = True
    clip_norm: float = 1.0
    average_decay: float = 0.998
    report_steps: int = 50
    checkpoint_seconds: float = 180.0


def make_optimizer(model: DialogueTransformer, weight_decay: float) -> torch.optim.Optimizer:
    """AdamW with decoupled decay (arXiv:1711.05101) on matrices only."""
    matrices = [value for value in model.parameters() if value.dim() >= 2]
    vectors = [value for value in model.parameters() if value.dim() < 2]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98), eps=1e-8, fused=True)


def train(
    model: DialogueTransformer,
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor],
    batches: Iterator[Batch],
    objective: Objective,
    schedule: Schedule,
    options: LoopOptions,
    progress: Progress,
    checkpoint: tuple[Path, Mapping[str, Any]] | None = None,
    report: Callable[[str], None] = print,
    clock: Callable[[], float] = time.monotonic,
) -> Progress:
    """Update `model` and `average` in place until the schedule's budget is spent; returns the last progress."""
    started, saved = clock() - progress.seconds, clock()
    nll, tokens = 0.0, 0
    model.train()
    while schedule.spent(progress) < 1.0:
        rate = schedule.rate(progress)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = update(model, optimizer, next(batches), objective, options)
        progress = Progress(progress.step + 1, clock() - started)
        update_average(average, model, min(options.average_decay, progress.step / (progress.step + 10)))
        nll, tokens = nll + loss.nll, tokens + loss.tokens
        if progress.step % options.report_steps == 0:
            report(progress_line(progress, schedule, nll / tokens, rate))
            nll, tokens = 0.0, 0
        if checkpoint is not None and clock() - saved >= options.checkpoint_seconds:
            save_checkpoint(checkpoint[0], model, average, optimizer, progress, checkpoint[1])
            saved = clock()
    if checkpoint is not None:
        save_checkpoint(checkpoint[0], model, average, optimizer, progress, checkpoint[1])
    return progress


def update(
    model: DialogueTransformer,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    objective: Objective,
    options: LoopOptions,
) -> Loss:
    """One step down the gradient. The plain attention kernel is the faster one here: sequences are short."""
    with sdpa_kernel(SDPBackend.MATH):
        with torch.autocast("cpu", torch.bfloat16, enabled=options.bf16):
            loss = objective(model, batch)
        loss.mean.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), options.clip_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss


def fresh_average(model: DialogueTransformer) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


@torch.no_grad()
def update_average(average: dict[str, Tensor], model: DialogueTransformer, decay: float) -> None:
    """average ← decay·average + (1 − decay)·weights."""
    state = model.state_dict()
    torch._foreach_lerp_([average[name] for name in state], list(state.values()), 1.0 - decay)


def progress_line(progress: Progress, schedule: Schedule, nll: float, rate: float) -> str:
    spent = schedule.spent(progress)
    left = progress.seconds * (1 - spent) / spent if spent else math.inf
    return (
        f"step {progress.step:6d}  loss {nll:6.3f}  perplexity {math.exp(min(nll, 20)):9.2f}  rate {rate:.2e}  "
        f"{spent:6.1%} done, {left / 60:5.1f} min left"
    )
