"""Pruning of single weights: the least ones become zero and stay so (Han et al. 2015, arXiv:1506.02626).

The tensors keep their shapes, so this alone makes nothing smaller or faster; `structure` does.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

Scope = Literal["global", "layer"]


def prunable(model: nn.Module) -> dict[str, Tensor]:
    """The matrices of linear layers by name. Embeddings are looked up, not multiplied: each row is some token's all."""
    return {
        f"{name}.weight": module.weight
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module.out_features > 1
    }


@torch.no_grad()
def masks_of(model: nn.Module, share: float, scope: Scope = "global") -> dict[str, Tensor]:
    """Masks, true on the weights that stay, which take out `share` of the prunable ones, the least in magnitude.

    "global" compares the weights of all layers with one another, "layer" takes the share from each matrix.
    Raises ValueError on a share outside [0, 1).
    """
    if not 0 <= share < 1:
        raise ValueError(f"the share to prune must lie in [0, 1), got {share}")
    weights = prunable(model)
    if scope == "layer":
        return {name: kept(value.abs().flatten(), share).view_as(value) for name, value in weights.items()}
    whole = kept(torch.cat([value.abs().flatten() for value in weights.values()]), share)
    parts = torch.split(whole, [value.numel() for value in weights.values()])
    return {name: part.view_as(value) for part, (name, value) in zip(parts, weights.items(), strict=True)}


def kept(magnitudes: Tensor, share: float) -> Tensor:
    """True but on exactly that share of the values [N], the least ones."""
    least = magnitudes.argsort()[: round(share * len(magnitudes))]
    return torch.ones(len(magnitudes), dtype=torch.bool, device=magnitudes.device).index_fill_(0, least, value=False)


@torch.no_grad()
def apply(model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Zero what the masks take out, and every later gradient of it: under AdamW a zero without gradient stays zero."""
    for name, weight in prunable(model).items():
        gone = ~masks[name]
        weight.masked_fill_(gone, 0.0)
        weight.register_hook(lambda gradient, gone=gone: gradient.masked_fill(gone.to(gradient.device), 0.0))  # type: ignore[no-untyped-call]


@torch.no_grad()
def sparsity(model: nn.Module) -> float:
    """The share of zeros among the prunable weights."""
    weights = prunable(model).values()
    return sum(int((value == 0).sum()) for value in weights) / sum(value.numel() for value in weights)
