"""AdamW, and the moving average of the weights that a run ends with."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

POSITIONS = "embed_positions.weight"


def make_optimizer(task: nn.Module, weight_decay: float) -> torch.optim.Optimizer:
    """AdamW with decoupled decay (arXiv:1711.05101) on matrices only: not on biases, norms and position vectors."""
    trained = [(name, value) for name, value in task.named_parameters() if value.requires_grad]
    matrices = [value for name, value in trained if value.dim() >= 2 and not name.endswith(POSITIONS)]
    vectors = [value for name, value in trained if value.dim() < 2 or name.endswith(POSITIONS)]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98), eps=1e-8, fused=True)


def fresh_average(task: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in task.state_dict().items()}


@torch.no_grad()
def update_average(average: Mapping[str, Tensor], task: nn.Module, decay: float) -> None:
    """average ← decay·average + (1 − decay)·weights (Polyak and Juditsky 1992)."""
    state = task.state_dict()
    torch._foreach_lerp_([piece(average[name]) for name in state], [*map(piece, state.values())], 1.0 - decay)


def piece(value: Any) -> Tensor:
    """What this rank holds of a tensor that may be spread over several (a DTensor)."""
    held: Tensor = value.to_local() if hasattr(value, "to_local") else value
    return held


@contextmanager
def averaged(task: nn.Module, average: Mapping[str, Tensor]) -> Iterator[None]:
    """For a while the task has the averaged weights and drops nothing out; both are put back afterwards."""
    held = fresh_average(task)
    task.load_state_dict(average)
    task.eval()
    try:
        yield
    finally:
        task.load_state_dict(held)
        task.train()
