"""Multi-head attention whose projections can be used apart.

Teacher forcing needs the whole at once; incremental decoding needs keys and values once and queries often.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Scaled dot-product attention with HF BART's parameter names, of H heads of width W."""

    def __init__(self, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.head_width = head_width
        self.k_proj = nn.Linear(width, heads * head_width)
        self.v_proj = nn.Linear(width, heads * head_width)
        self.q_proj = nn.Linear(width, heads * head_width)
        self.out_proj = nn.Linear(heads * head_width, width)

    def split(self, states: Tensor) -> Tensor:
        """[B, T, H·W] → [B, H, T, W]; a shard of the heads gives as many as it has."""
        return torch.unflatten(states, -1, (-1, self.head_width)).transpose(1, 2)

    def merge(self, states: Tensor) -> Tensor:
        """[B, H, T, W] → [B, T, D], through the output projection."""
        projected: Tensor = self.out_proj(states.transpose(1, 2).flatten(2))
        return projected

    def queries(self, states: Tensor) -> Tensor:
        return self.split(self.q_proj(states))

    def keys_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        return self.split(self.k_proj(memory)), self.split(self.v_proj(memory))

    def forward(self, states: Tensor, memory: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """`mask` is true where a query may look, broadcastable to [B, H, T, S]."""
        keys, values = self.keys_values(memory)
        queries = self.queries(states)
        if torch.is_grad_enabled() and queries.dtype == torch.bfloat16 and queries.device.type == "cpu":
            return self.merge(by_products(queries, keys, values, mask, causal))
        return self.merge(
            functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, is_causal=causal)
        )


def by_products(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """What torch's fused attention computes; in bf16 on a CPU (torch 2.13) its way back takes four times as long."""
    scores = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(2, 3)  # [B, H, T, S]
    if causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(later, float("-inf"))
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    seen: Tensor = scores.softmax(dim=-1) @ values  # [B, H, T, W]
    return seen


def key_mask(mask: Tensor) -> Tensor:
    """[B, S] → [B, 1, 1, S], as attention wants it."""
    return mask.to(torch.bool)[:, None, None, :]
