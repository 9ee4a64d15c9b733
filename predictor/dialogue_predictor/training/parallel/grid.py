"""The ranks of a device mesh, as the loop sees them (`Ranks`)."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, distribute_tensor

from dialogue_predictor.training.parallel.layout import Layout
from dialogue_predictor.training.parallel.rows import all_gather
from dialogue_predictor.training.parallel.spreading import COPY, SHARD, TENSOR, spread
from dialogue_predictor.training.ranks import BatchT


class Grid:
    """One rank of a layout. Collective methods are called by every rank, in the same order."""

    def __init__(self, layout: Layout, device: torch.device, half: bool = False) -> None:
        self.layout = layout
        self.device = device
        self.half = half
        self.mesh = init_device_mesh(device.type, layout.mesh, mesh_dim_names=(COPY, SHARD, TENSOR))
        self.rank = dist.get_rank()
        self.world = dist.get_world_size()
        self.replica = self.rank // layout.tensor
        self.replicas = layout.data
        self.is_first = self.rank == 0
        self.peers = self.mesh.get_group(SHARD if layout.shard else COPY)  # one rank of every replica
        self.shares = [0] * layout.data  # rows of the batch at hand that each replica has

    def place(self, task: nn.Module) -> nn.Module:
        return spread(task.to(self.device), self.layout, self.mesh, self.half)

    def share(self, batch: BatchT) -> BatchT:
        bounds = [len(batch) * part // self.replicas for part in range(self.replicas + 1)]
        self.shares = [end - start for start, end in pairwise(bounds)]
        own = slice(bounds[self.replica], bounds[self.replica + 1])
        if self.shares[self.replica]:
            return batch.rows(own).to(self.device)
        return cast(BatchT, replace(cast(Any, batch.rows(slice(0, 1))), units=0).to(self.device))

    def all_rows(self, rows: Tensor) -> Tensor:
        return all_gather(rows, self.shares, self.replica, self.peers)

    def total(self, value: float) -> float:
        return self.reduced([value], dist.ReduceOp.SUM, self.peers)[0]

    def maximum(self, *values: float) -> tuple[float, ...]:
        return tuple(self.reduced(values, dist.ReduceOp.MAX, dist.group.WORLD))

    def reduced(self, values: Iterable[float], how: Any, group: dist.ProcessGroup | None) -> list[float]:
        numbers = torch.tensor([*values], dtype=torch.float64, device=self.device)
        dist.all_reduce(numbers, how, group)
        return cast(list[float], numbers.tolist())

    @torch.no_grad()
    def clip(self, parameters: Iterable[nn.Parameter], norm: float) -> Tensor:
        """A piece that several ranks hold counts as many times less in the sum of squares over all ranks."""
        by_pieces: dict[int, list[Tensor]] = {}
        for parameter in parameters:
            if parameter.grad is not None:
                by_pieces.setdefault(pieces(parameter), []).append(local(parameter.grad))
        square = torch.zeros((), dtype=torch.float64, device=self.device)
        for count, gradients in by_pieces.items():
            square += nn.utils.get_total_norm(gradients).double() ** 2 * count / self.world
        dist.all_reduce(square)
        total = square.sqrt().float()
        scale = (norm / (total + 1e-6)).clamp(max=1.0)  # as torch's own
        for gradients in by_pieces.values():
            torch._foreach_mul_(gradients, scale)
        return total

    def gather_state(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """On the CPU, and empty on the ranks but the first: of every tensor the others let go at once."""
        gathered: dict[str, Tensor] = {}
        for name, value in tensors.items():
            whole = value.full_tensor() if isinstance(value, DTensor) else value
            if self.is_first:
                gathered[name] = whole.detach().cpu()
        return gathered

    def scatter_state(self, tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: cut(value.to(self.device), like[name]).clone() for name, value in tensors.items()}


def cut(whole: Tensor, like: Tensor) -> Tensor:
    """This rank's piece; every rank has the whole, so nothing is sent."""
    if not isinstance(like, DTensor):
        return whole
    return distribute_tensor(whole, like.device_mesh, like.placements, src_data_rank=None)


def local(value: Tensor) -> Tensor:
    return value.to_local() if isinstance(value, DTensor) else value


def pieces(value: Tensor) -> int:
    """In how many different pieces the ranks hold a tensor."""
    if not isinstance(value, DTensor):
        return 1
    split = zip(value.device_mesh.shape, value.placements, strict=True)
    return math.prod(size for size, placement in split if not placement.is_replicate())
