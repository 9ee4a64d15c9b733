"""What the loop asks of the processes that train together; alone, every answer is trivial.

The loop draws the same batches everywhere and never learns how a model is spread. A *replica* is a set of ranks that
together hold the model once and read the same rows: one rank under data parallelism, several under tensor parallelism.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor, nn


class Sharable(Protocol):
    """A batch: rows that can be taken apart. `units` counts the tokens (or rows) its loss is a mean over, `tokens` all
    that the model reads, by which speed is told."""

    @property
    def units(self) -> int: ...

    @property
    def tokens(self) -> int: ...

    def __len__(self) -> int: ...

    def rows(self, chosen: slice) -> Self: ...

    def to(self, device: torch.device) -> Self: ...


BatchT = TypeVar("BatchT", bound=Sharable)


class Ranks(Protocol):
    """One process among those that train together. Collective methods are called by every rank, in the same order."""

    @property
    def rank(self) -> int: ...

    @property
    def world(self) -> int: ...

    @property
    def replica(self) -> int:
        """Which replica this rank belongs to: ranks of one replica drop the same units."""
        ...

    @property
    def replicas(self) -> int:
        """How many replicas there are. Gradients are *averaged* over them (as DDP and FSDP do)."""
        ...

    @property
    def device(self) -> torch.device: ...

    @property
    def is_first(self) -> bool:
        """Whether this rank writes files and reports."""
        ...

    def place(self, task: nn.Module) -> nn.Module:
        """The task on its device, spread or wrapped; what is called with batches. `task` keeps its parameters' names.

        The optimiser is made afterwards, from `task.parameters()`.
        """
        ...

    def share(self, batch: BatchT) -> BatchT:
        """This replica's rows of a batch that all ranks have drawn alike, on the device.

        Never without rows: where a batch has fewer rows than there are replicas, a spare one is lent with `units` 0.
        """
        ...

    def all_rows(self, rows: Tensor) -> Tensor:
        """Rows [B, …] of this replica's share → those of the whole batch, in its order; gradients flow back. Collective."""
        ...

    def total(self, value: float) -> float:
        """The sum over the replicas. Collective."""
        ...

    def maximum(self, *values: float) -> tuple[float, ...]:
        """The largest of each value over the ranks: how all agree on a clock and on stopping. Collective."""
        ...

    def clip(self, parameters: Iterable[nn.Parameter], norm: float) -> Tensor:
        """Scale the gradients to a total norm of at most `norm`; returns what it was. Collective."""
        ...

    def gather_state(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Whole tensors in place of this rank's pieces: of weights, of their average, of the optimiser's moments.

        Collective; ranks but the first may get less.
        """
        ...

    def scatter_state(self, tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Copies of this rank's pieces of whole tensors, cut and placed as those of the same names in `like`."""
        ...


class Alone:
    """A single process, which is all of them."""

    rank = 0
    world = 1
    replica = 0
    replicas = 1
    is_first = True

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)

    def place(self, task: nn.Module) -> nn.Module:
        return task.to(self.device)

    def share(self, batch: BatchT) -> BatchT:
        return batch.to(self.device)

    def all_rows(self, rows: Tensor) -> Tensor:
        return rows

    def total(self, value: float) -> float:
        return value

    def maximum(self, *values: float) -> tuple[float, ...]:
        return values

    def clip(self, parameters: Iterable[nn.Parameter], norm: float) -> Tensor:
        return nn.utils.clip_grad_norm_(parameters, norm)

    def gather_state(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(tensors)

    def scatter_state(self, tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: value.to(like[name].device, copy=True) for name, value in tensors.items()}
