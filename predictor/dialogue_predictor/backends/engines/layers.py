"""Transformer layers over rows of tokens, with packed weights: one encoder layer, one decoding step's layer.

Rows are [R, D]; which source and beam a row belongs to matters only inside attention.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from dialogue_predictor.backends.engines.linear import Packer
from dialogue_predictor.model.attention import Attention
from dialogue_predictor.model.config import Activation
from dialogue_predictor.model.transformer import Layer

IN_PLACE: dict[Activation, Callable[[Tensor], Tensor]] = {
    "gelu": torch.ops.aten.gelu_,
    "relu": torch.relu_,
    "swish": torch.ops.aten.silu_,
}
FEED_FORWARD_ROWS = 128  # the inside of a feed-forward layer is four times as wide: blocks of it stay in the cache

KeysValues = tuple[Tensor, Tensor]
"""Keys [B, H, W, slots] and values [B, H, slots, W], W a head's width."""


@dataclass(frozen=True)
class Padding:
    """Where the real tokens of B padded sources are."""

    real: Tensor  # [N], of the B S positions numbered through
    bias: Tensor  # [B, S], 0 on real tokens and -inf on padding

    @classmethod
    def of(cls, mask: Tensor) -> "Padding":
        bias = torch.zeros(mask.shape).masked_fill_(~mask, float("-inf"))
        return cls(mask.flatten().nonzero()[:, 0], bias)

    def spread(self, rows: Tensor) -> Tensor:
        """Rows of real tokens [N, …] → of all positions [B S, …], zero on padding."""
        return rows.new_zeros(self.bias.numel(), rows.shape[1]).index_copy_(0, self.real, rows)


class Block:
    """What both kinds of layers share: self-attention's products, the feed-forward pair, residuals around norms."""

    def __init__(self, layer: Layer, activation: Activation, pack: Packer) -> None:
        self.heads, self.head_width = layer.self_attn.heads, layer.self_attn.head_width
        self.pre_norm = layer.pre_norm
        attention = layer.self_attn
        self.qkv = pack.scaled(attention.q_proj, attention.k_proj, attention.v_proj, factor=query_scale(attention))
        self.out = pack(attention.out_proj)
        self.norm, self.last_norm = layer.self_attn_layer_norm, layer.final_layer_norm
        self.fc1, self.fc2 = pack(layer.fc1), pack(layer.fc2)
        self.activate = IN_PLACE[activation]

    def feed_forward(self, rows: Tensor) -> Tensor:
        blocks = [self.fc2(self.activate(self.fc1(block))) for block in torch.split(rows, FEED_FORWARD_ROWS)]
        return blocks[0] if len(blocks) == 1 else torch.cat(blocks)

    def around(self, norm: torch.nn.Module, rows: Tensor, inner: Callable[[Tensor], Tensor]) -> Tensor:
        if self.pre_norm:
            return inner(norm(rows)).add_(rows)
        normed: Tensor = norm(inner(rows).add_(rows))
        return normed


class EncoderLayer(Block):
    def __call__(self, rows: Tensor, batch: int, padding: Padding | None) -> Tensor:
        """Rows of B sources [B S, D], or with padding of their real tokens alone [N, D]."""

        def attention(rows: Tensor) -> Tensor:
            qkv = self.qkv(rows)
            if padding:
                qkv = padding.spread(qkv)
            queries, keys, values = qkv.view(batch, -1, 3, self.heads, self.head_width).permute(2, 0, 3, 1, 4)
            bias = padding.bias[:, None, None] if padding else None
            seen = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=bias, scale=1.0)
            merged = seen.transpose(1, 2).flatten(2).flatten(0, 1)  # [B S, D]
            return self.out(merged[padding.real] if padding else merged)

        rows = self.around(self.norm, rows, attention)
        return self.around(self.last_norm, rows, self.feed_forward)


class DecoderLayer(Block):
    def __init__(self, layer: Layer, activation: Activation, pack: Packer) -> None:
        super().__init__(layer, activation, pack)
        cross = layer.encoder_attn
        self.memory_queries = pack.scaled(cross.q_proj, factor=query_scale(cross))
        self.memory_out = pack(cross.out_proj)
        self.memory_norm = layer.encoder_attn_layer_norm

    def __call__(
        self,
        rows: Tensor,
        beams: int,
        cache: KeysValues,
        new: slice,
        past_bias: Tensor,
        memory: KeysValues,
        memory_bias: Tensor | None,
    ) -> Tensor:
        """The beams' newest rows [B K, D], whose keys and values go into the slots `new` of the cache.

        Biases on the attention's scores: [B H, K, slots] for the past, [B H, 1, S] for the source.
        """
        batch, heads = len(rows) // beams, self.heads

        def attend_past(rows: Tensor) -> Tensor:
            qkv = self.qkv(rows).view(batch, beams, 3, heads, self.head_width)
            keys, values = cache
            keys[:, :, new] = qkv[:, :, 1].transpose(1, 2)
            values[:, :, new] = qkv[:, :, 2].transpose(1, 2)
            past = keys[:, :, : new.stop].transpose(2, 3), values[:, :, : new.stop]
            return self.out(attend(qkv[:, :, 0], past, past_bias))

        def attend_memory(rows: Tensor) -> Tensor:
            queries = self.memory_queries(rows).view(batch, beams, heads, self.head_width)
            return self.memory_out(attend(queries, memory, memory_bias))

        rows = self.around(self.norm, rows, attend_past)
        rows = self.around(self.memory_norm, rows, attend_memory)
        return self.around(self.last_norm, rows, self.feed_forward)


def attend(queries: Tensor, keys_values: KeysValues, bias: Tensor | None) -> Tensor:
    """Queries [B, K, H, W], already scaled, over keys and values, with bias [B H, K or 1, S] → rows [B K, D].

    Two batched products: for a few queries a head this is faster than torch's fused attention.
    """
    batch, beams, heads, width = queries.shape
    keys, values = (part.flatten(0, 1) for part in keys_values)
    rows = queries.transpose(1, 2).reshape(batch * heads, beams, width)
    scores = torch.bmm(rows, keys) if bias is None else torch.baddbmm(bias, rows, keys)
    seen = torch.bmm(scores.softmax(dim=-1), values)  # [B H, K, W]
    return seen.view(batch, heads, beams, width).transpose(1, 2).reshape(batch * beams, heads * width)


def query_scale(attention: Attention) -> float:
    """Attention's 1 / sqrt(W), W a head's width, put into the weights so that no step computes it."""
    return float(attention.head_width**-0.5)
