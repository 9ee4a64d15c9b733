"""Multi-head attention whose projections can be used apart.

Teacher forcing needs the whole at once; incremental decoding needs keys and values once and queries often.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Scaled dot-product attention with HF BART's parameter names."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def split(self, states: Tensor) -> Tensor:
        """[B, T, D] → [B, H, T, D/H]."""
        batch, length, width = states.shape
        return states.view(batch, length, self.heads, width // self.heads).transpose(1, 2)

    def merge(self, states: Tensor) -> Tensor:
        """[B, H, T, D/H] → [B, T, D], through the output projection."""
        batch, heads, length, width = states.shape
        projected: Tensor = self.out_proj(states.transpose(1, 2).reshape(batch, length, heads * width))
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
