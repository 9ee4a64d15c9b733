"""The rows of all replicas on each of them, with gradients: negatives of a contrast are those of the whole batch."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional


class Gathered(torch.autograd.Function):
    """Rows [B, P] of every rank → [R, B, P]. What any rank's loss says about a row comes back to the rank that has it."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, place: int, group: dist.ProcessGroup) -> Tensor:
        ctx.place, ctx.group = place, group
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size(group))]
        dist.all_gather(parts, rows.contiguous(), group)
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        summed = gradients[0].contiguous()
        dist.all_reduce(summed, group=ctx.group)
        return summed[ctx.place], None, None


def all_gather(rows: Tensor, shares: Sequence[int], place: int, group: dist.ProcessGroup) -> Tensor:
    """This rank's rows [B, P] of which `shares[place]` count → those of all ranks [sum of `shares`, P], in order."""
    own = rows[: shares[place]]
    even = functional.pad(own, (0, 0, 0, max(shares) - len(own)))
    parts: Tensor = Gathered.apply(even, place, group)  # type: ignore[no-untyped-call]
    return torch.cat([part[:count] for part, count in zip(parts, shares, strict=True)])
