"""The copy head: a next token may be one that the source says, whether or not the generator knows the word.

See, Liu and Manning 2017, arXiv:1704.04368 ("pointer-generator"), with one dot-product attention of its own in place of
theirs, which the decoder shares: p = (1 − g)·softmax(logits) + g·Σ_s a_s [token = source_s].
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

FIRST_GATE = -2.0  # a fresh model copies little: an eighth


class CopyHead(nn.Module):
    """How much to copy, and where from."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.gate = nn.Linear(width, 1)

    def forward(self, states: Tensor, keys: Tensor, source_mask: Tensor) -> tuple[Tensor, Tensor]:
        """States [B, T, D], keys (`k_proj` of the memory) [B, S, D] and mask [B, S], true on real tokens → the gate's
        logit [B, T, 1], whose sigmoid is the share copied, and the attention [B, T, S], in fp32 at least, 0 on padding.
        """
        scores = widened(self.q_proj(states) @ keys.transpose(1, 2)) * keys.shape[-1] ** -0.5
        attention = scores.masked_fill(~source_mask.bool()[:, None], float("-inf")).softmax(dim=-1)
        return self.gate(states), attention


def mixture(logits: Tensor, gate: Tensor, attention: Tensor, tokens: Tensor) -> Tensor:
    """Logits [..., V], the gate's logit [..., 1] and attention [..., S] over source ids [..., S] → log p [..., V]."""
    generated = functional.log_softmax(widened(logits), dim=-1)
    copied = torch.zeros_like(generated).scatter_add(-1, tokens, attention)
    return log_mixture(generated, gate, copied)


def log_mixture(generated: Tensor, gate: Tensor, copied: Tensor) -> Tensor:
    """The generator's log p, the gate's logit and the attention on a token, broadcastable to each other → its log p.

    Where nothing is copied the generator's share is all: a logarithm of zero would spoil the gradient.
    """
    gate = widened(gate)
    generated = generated + functional.logsigmoid(-gate)
    pointed = copied.clamp(min=torch.finfo(copied.dtype).tiny).log() + functional.logsigmoid(gate)
    return torch.where(copied > 0, torch.logaddexp(generated, pointed), generated)


def packed(states: Tensor, gate: Tensor, attention: Tensor, tokens: Tensor) -> Tensor:
    """States [B, K, D] with all that `mixture` needs besides → rows [B, K, D + 1 + 2·S], in fp32 at least.

    After the states: the gate's logit, the attention [B, K, S], and the source ids [B, S], −1 on padding, which a float
    holds exactly below 2^24.
    """
    beams = states.shape[1]
    return torch.cat((widened(states), gate, attention, tokens[:, None].expand(-1, beams, -1)), dim=-1)


def unpacked(hidden: Tensor, width: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rows [R, D + 1 + 2·S] of `packed` → states [R, D], gate [R, 1], attention [R, S] and source ids [R, S].

    Padding becomes token 0: no attention falls on it.
    """
    length = (hidden.shape[-1] - width - 1) // 2
    states, gate, attention, tokens = torch.split(hidden, [width, 1, length, length], dim=-1)
    return states, gate, attention, tokens.long().clamp(min=0)


def widened(values: Tensor) -> Tensor:
    """In fp32 at least: a half's three digits are too few for probabilities."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
