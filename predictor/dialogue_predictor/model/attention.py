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
        return self.merge(
            functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, is_causal=causal)
        )


def key_mask(mask: Tensor) -> Tensor:
    """[B, S] → [B, 1, 1, S], as attention wants it."""
    return mask.to(torch.bool)[:, None, None, :]
