"""The encoder-decoder itself: mBART's layout, BART's with `pre_norm` off, and those of their relatives.

Parameter names follow Hugging Face's, so that its checkpoints load as they are (`model.families`) and its
implementation (`MBartForConditionalGeneration`, `BartForConditionalGeneration`, …) is the reference this one is
tested against. Lewis et al. 2020, arXiv:1910.13461; Liu et al. 2020, arXiv:2001.08210.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dialogue_predictor.model.attention import Attention, key_mask
from dialogue_predictor.model.config import ModelConfig
from dialogue_predictor.model.copying import FIRST_GATE, CopyHead, mixture
from dialogue_predictor.model.positions import LearnedPositions, SinusoidalPositions

INIT_STD = 0.02
TIED = ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight")
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "relu": functional.relu,
    "swish": functional.silu,
}


class Layer(nn.Module):
    """One encoder layer, or with `cross` one decoder layer; each block is a residual around a norm."""

    def __init__(self, config: ModelConfig, *, cross: bool) -> None:
        super().__init__()
        self.pre_norm = config.pre_norm
        self.activation = ACTIVATIONS[config.activation]
        self.dropout = nn.Dropout(config.dropout)
        self.self_attn = Attention(config.d_model, config.heads, config.head_width)
        self.self_attn_layer_norm = nn.LayerNorm(config.d_model)
        if cross:
            self.encoder_attn = Attention(config.d_model, config.heads, config.head_width)
            self.encoder_attn_layer_norm = nn.LayerNorm(config.d_model)
        self.fc1 = nn.Linear(config.d_model, config.ffn)
        self.fc2 = nn.Linear(config.ffn, config.d_model)
        self.final_layer_norm = nn.LayerNorm(config.d_model)

    def block(self, norm: nn.Module, states: Tensor, inner: Callable[[Tensor], Tensor]) -> Tensor:
        if self.pre_norm:
            dropped: Tensor = self.dropout(inner(norm(states)))
            return states + dropped
        normed: Tensor = norm(states + self.dropout(inner(states)))
        return normed

    def feed_forward(self, states: Tensor) -> Tensor:
        projected: Tensor = self.fc2(self.activation(self.fc1(states)))
        return projected

    def forward(
        self,
        states: Tensor,
        self_mask: Tensor | None = None,
        memory: Tensor | None = None,
        memory_mask: Tensor | None = None,
    ) -> Tensor:
        causal = memory is not None
        states = self.block(
            self.self_attn_layer_norm, states, lambda x: self.self_attn(x, x, mask=self_mask, causal=causal)
        )
        if memory is not None:
            states = self.block(
                self.encoder_attn_layer_norm, states, lambda x: self.encoder_attn(x, memory, mask=memory_mask)
            )
        return self.block(self.final_layer_norm, states, self.feed_forward)


class Stack(nn.Module):
    """Positions, embedding norm, layers and final norm of one side; the token embedding is the model's."""

    def __init__(self, config: ModelConfig, *, layers: int, cross: bool) -> None:
        super().__init__()
        self.dropout = nn.Dropout(config.dropout)
        table = LearnedPositions if config.positions == "learned" else SinusoidalPositions
        self.embed_positions: LearnedPositions | SinusoidalPositions = table(config.max_positions, config.d_model)
        self.layernorm_embedding = nn.LayerNorm(config.d_model) if config.layernorm_embedding else nn.Identity()
        self.norm_first = cross and config.norm_before_positions
        own = 1 if config.shared_layers else layers
        self.layers = nn.ModuleList(Layer(config, cross=cross) for _ in range(own))
        self.repeats = layers // own
        self.layer_norm = nn.LayerNorm(config.d_model) if config.pre_norm else nn.Identity()

    @property
    def blocks(self) -> list[Layer]:
        """The layers, in order; one that is shared as often as it is passed."""
        return [layer for layer in self.layers if isinstance(layer, Layer)] * self.repeats

    @property
    def positions(self) -> Tensor:
        """The vectors of the positions [P, D], position 0 first."""
        return self.embed_positions.table

    def embed(self, embedded: Tensor, start: int = 0) -> Tensor:
        """Gives embedded tokens [B, T, D] the positions `start`, `start + 1`, … Raises ValueError beyond the table."""
        end = start + embedded.shape[1]
        if end > len(self.positions):
            raise beyond(end, len(self.positions))
        return self.placed(embedded, self.positions[start:end])

    def embed_at(self, embedded: Tensor, positions: Tensor) -> Tensor:
        """Gives the embedded tokens of K beams [B, K, D] their source's position [B], the same for all its beams.

        Raises ValueError beyond the table; on an accelerator, where looking would stall it, the caller sees to that.
        """
        try:
            chosen = self.positions.index_select(0, positions)
        except IndexError:
            raise beyond(int(positions.max()) + 1, len(self.positions)) from None
        return self.placed(embedded, chosen[:, None])

    def placed(self, embedded: Tensor, positions: Tensor) -> Tensor:
        """Embedded tokens [B, T, D] and the vectors of their positions, broadcastable to them → the layers' input."""
        if self.norm_first:
            states = self.layernorm_embedding(embedded) + positions
        else:
            states = self.layernorm_embedding(embedded + positions)
        dropped: Tensor = self.dropout(states)
        return dropped


def beyond(tokens: int, positions: int) -> ValueError:
    return ValueError(f"a sequence of {tokens} tokens exceeds {positions} positions")


class Body(nn.Module):
    """The two stacks around one shared token embedding; exists for the `model.` prefix of the names."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        empty = torch.empty(config.vocab_size, config.d_model)  # `build` draws its values
        self.shared = nn.Embedding(config.vocab_size, config.d_model, padding_idx=config.pad_id, _weight=empty)
        self.encoder = Stack(config, layers=config.encoder_layers, cross=False)
        self.decoder = Stack(config, layers=config.decoder_layers, cross=True)
        self.copy = CopyHead(config.d_model) if config.copy else None


class DialogueTransformer(nn.Module):
    """Encoder-decoder with one embedding for source, target and output.

    The state dict holds the shared embedding once, under `model.shared.weight`; a Hugging Face state dict
    loads as well, with all of its tied copies or only some.
    """

    final_logits_bias: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_scale = math.sqrt(config.d_model) if config.scale_embedding else 1.0
        self.model = Body(config)
        self.register_buffer("final_logits_bias", torch.zeros(1, config.vocab_size))
        self.register_load_state_dict_pre_hook(untie)  # type: ignore[no-untyped-call]

    def embed(self, tokens: Tensor) -> Tensor:
        """[B, T] → [B, T, D], scaled."""
        embedded: Tensor = self.model.shared(tokens)
        return embedded * self.embed_scale

    def project(self, states: Tensor) -> Tensor:
        """[..., D] → the generator's logits [..., V]."""
        return functional.linear(states, self.model.shared.weight, self.final_logits_bias[0])

    def encode(self, source: Tensor, source_mask: Tensor) -> Tensor:
        """Source ids [B, S] with a mask [B, S], true on real tokens → memory [B, S, D].

        Raises ValueError when the source exceeds the positions.
        """
        encoder, mask = self.model.encoder, key_mask(source_mask)
        states = encoder.embed(self.embed(source))
        for layer in encoder.blocks:
            states = layer(states, self_mask=mask)
        memory: Tensor = encoder.layer_norm(states)
        return memory

    def decode(self, target_in: Tensor, memory: Tensor, source_mask: Tensor) -> Tensor:
        """Target ids [B, T] under a causal mask over memory [B, S, D] → states [B, T, D]."""
        decoder, mask = self.model.decoder, key_mask(source_mask)
        states = decoder.embed(self.embed(target_in))
        for layer in decoder.blocks:
            states = layer(states, memory=memory, memory_mask=mask)
        normed: Tensor = decoder.layer_norm(states)
        return normed

    def scores(self, states: Tensor, memory: Tensor, source: Tensor, source_mask: Tensor) -> Tensor:
        """States [B, T, D] over memory [B, S, D] of source ids [B, S] → [B, T, V]: logits, or with a copy head log p."""
        copy = self.model.copy
        if copy is None:
            return self.project(states)
        gate, attention = copy(states, copy.k_proj(memory), source_mask)
        return mixture(self.project(states), gate, attention, source[:, None].expand(attention.shape))

    def forward(self, source: Tensor, source_mask: Tensor, target_in: Tensor) -> Tensor:
        """Teacher forcing: `target_in` [B, T] begins with the decoder start token → scores [B, T, V].

        Targets need no mask: with causal attention the padding at their end reaches no real position.
        """
        memory = self.encode(source, source_mask)
        return self.scores(self.decode(target_in, memory, source_mask), memory, source, source_mask)


def untie(module: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    """Folds the tied copies of the embedding in a state dict into `model.shared.weight`."""
    shared = f"{prefix}model.shared.weight"
    for name in TIED:
        copy = state.pop(f"{prefix}{name}", None)
        if copy is not None:
            state.setdefault(shared, copy)


def filled(config: ModelConfig, state: dict[str, Tensor]) -> DialogueTransformer:
    """The model of a config with these weights as they are, ready to answer. Raises RuntimeError where they do not fit."""
    with torch.device("meta"):  # its first weights would be drawn at random, and thrown away
        model = DialogueTransformer(config)
    model.load_state_dict(state, assign=True)
    return model.eval()


def is_finite(value: Tensor) -> bool:
    """Whether all values are numbers: seen in the least and the greatest, many times faster than one by one."""
    return not value.numel() or all(bool(extreme.isfinite()) for extreme in value.aminmax())


@torch.no_grad()
def build(config: ModelConfig) -> DialogueTransformer:
    """A fresh model initialised as mBART is: weights of deviation 0.02, zero biases (but the copy gate's) and padding row.

    Draws from torch's global generator; seed it for a reproducible start.
    """
    model = DialogueTransformer(config)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.weight.normal_(std=INIT_STD)
            module.bias.zero_()
        elif isinstance(module, nn.Embedding):
            module.weight.normal_(std=INIT_STD)
            if module.padding_idx is not None:
                module.weight[module.padding_idx].zero_()
    if model.model.copy is not None:
        model.model.copy.gate.bias.fill_(FIRST_GATE)
    return model
