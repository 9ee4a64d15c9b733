"""Decoding one token at a time, with what the past has already cost kept.

This is the model behind the search's seam, written to be read: the engines are compared with it. Cross-attention
keys and values are computed once a source and shared by its beams. The self-attention cache never moves: the keys of
every step stay where they were written, and each beam carries a mask of the slots it descends from, so that reordering
beams gathers a few booleans instead of the whole cache.

The seam is stateless behind a step, so with a copy head its hidden brings along all that `project` needs (`packed`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from dialogue_predictor.model.attention import key_mask
from dialogue_predictor.model.copying import CopyHead, mixture, packed, unpacked
from dialogue_predictor.model.transformer import DialogueTransformer, Layer

FIRST_CAPACITY = 64

KeysValues = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class DecoderState:
    """What B sources of K beams each know of their past.

    The buffers are shared between a state and its successor, which writes behind `slots`: of a state's
    successors only the latest may be used.
    """

    memory: tuple[KeysValues, ...]  # a layer: [B, H, S, W] twice, W a head's width
    memory_mask: Tensor  # [B, 1, 1, S]
    copied: tuple[Tensor, ...]  # with a copy head its keys [B, S, D] and the source ids [B, S], else none
    cache: tuple[KeysValues, ...]  # a layer: [B, H, capacity, W] twice
    ancestors: Tensor  # [B, K, slots], true where the beam descends from the slot
    lengths: Tensor  # [B], tokens already decoded

    @property
    def sources(self) -> int:
        return self.ancestors.shape[0]

    @property
    def beams(self) -> int:
        return self.ancestors.shape[1]

    @property
    def slots(self) -> int:
        return self.ancestors.shape[2]

    @property
    def capacity(self) -> int:
        return self.cache[0][0].shape[2]


class IncrementalModel:
    """A `DialogueTransformer` in evaluation, seen through the search's seam, in any number format."""

    def __init__(self, model: DialogueTransformer) -> None:
        self.model = model.eval()

    @torch.inference_mode()
    def encode(self, source: Tensor, source_mask: Tensor) -> DecoderState:
        """Source ids [B, S] and mask [B, S] → a state of one beam a source that has decoded nothing.

        Raises ValueError when the source exceeds the model's positions.
        """
        memory = self.model.encode(source, source_mask)
        keys_values = tuple(layer.encoder_attn.keys_values(memory) for layer in self.layers)
        batch, heads, _, width = keys_values[0][0].shape
        empty = (batch, heads, FIRST_CAPACITY, width)
        return DecoderState(
            memory=keys_values,
            memory_mask=key_mask(source_mask),
            copied=() if self.copy is None else (self.copy.k_proj(memory), source),
            cache=tuple((key.new_zeros(empty), value.new_zeros(empty)) for key, value in keys_values),
            ancestors=torch.zeros(batch, 1, 0, dtype=torch.bool, device=source.device),
            lengths=torch.zeros(batch, dtype=torch.int64, device=source.device),
        )

    @torch.inference_mode()
    def step(self, state: DecoderState, tokens: Tensor) -> tuple[Tensor, DecoderState]:
        """The beams' latest tokens [B, K] → hidden [B, K, D] of the next ones, wider with a copy head (`packed`).

        Beyond its last position a source stays there.
        """
        batch, beams = tokens.shape
        state = with_room(state, beams)
        own = torch.eye(beams, dtype=torch.bool, device=tokens.device).expand(batch, -1, -1)
        state = replace(state, ancestors=torch.cat((state.ancestors, own), dim=2))
        decoder = self.model.model.decoder
        positions = state.lengths.clamp(max=len(decoder.positions) - 1)
        states = decoder.embed_at(self.model.embed(tokens), positions)  # [B, K, D]
        for layer, cached, memory in zip(self.layers, state.cache, state.memory, strict=True):
            states = advance(layer, states, cached, memory, state)
        hidden = decoder.layer_norm(states)
        if self.copy is not None:
            keys, source = state.copied
            mask = state.memory_mask[:, 0, 0]
            gate, attention = self.copy(hidden, keys, mask)
            hidden = packed(hidden, gate, attention, source.masked_fill(~mask, -1))
        return hidden, replace(state, lengths=state.lengths + 1)

    @torch.inference_mode()
    def project(self, hidden: Tensor) -> Tensor:
        """Hidden [R, D] → logits [R, V], or with a copy head what `packed` made → log p [R, V]."""
        if self.copy is None:
            return self.model.project(hidden)
        embedding = self.model.model.shared.weight
        states, gate, attention, tokens = unpacked(hidden, embedding.shape[1])
        return mixture(self.model.project(states.to(embedding.dtype)), gate, attention, tokens)

    @torch.inference_mode()
    def reorder(self, state: DecoderState, index: Tensor) -> DecoderState:
        """Rows [B', K'] of the old [B, K], numbered through; a row of `index` stays within one source.

        Repeating a row makes beams, leaving out a source's rows lets the source leave.
        """
        rows = state.ancestors.flatten(0, 1)
        ancestors = rows[index]
        sources = index[:, 0] // state.beams
        if torch.equal(sources, torch.arange(state.sources, device=index.device)):
            return replace(state, ancestors=ancestors)
        return replace(
            state,
            memory=tuple((key[sources], value[sources]) for key, value in state.memory),
            memory_mask=state.memory_mask[sources],
            copied=tuple(part[sources] for part in state.copied),
            cache=tuple((key[sources], value[sources]) for key, value in state.cache),
            ancestors=ancestors,
            lengths=state.lengths[sources],
        )

    @torch.inference_mode()
    def join(self, states: Sequence[DecoderState]) -> DecoderState:
        """The sources of several states with the same number of beams, in order; what one is longer is idle in others."""
        return DecoderState(
            memory=joined([state.memory for state in states]),
            memory_mask=concatenated([state.memory_mask for state in states], dim=3),
            copied=tuple(concatenated(parts, dim=1) for parts in zip(*(state.copied for state in states), strict=True)),
            cache=joined([state.cache for state in states]),
            ancestors=concatenated([state.ancestors for state in states], dim=2),
            lengths=torch.cat([state.lengths for state in states]),
        )

    @property
    def copy(self) -> CopyHead | None:
        return self.model.model.copy

    @property
    def layers(self) -> list[Layer]:
        return self.model.model.decoder.blocks


def joined(parts: Sequence[tuple[KeysValues, ...]]) -> tuple[KeysValues, ...]:
    """Layer by layer the keys and the values of all sources."""
    return tuple(
        (concatenated([keys for keys, _ in layer], dim=2), concatenated([values for _, values in layer], dim=2))
        for layer in zip(*parts, strict=True)
    )


def concatenated(parts: Sequence[Tensor], dim: int) -> Tensor:
    """All sources, each part filled up with zeros along `dim` to the longest."""
    shape = list(parts[0].shape)
    shape[0], shape[dim] = sum(part.shape[0] for part in parts), max(part.shape[dim] for part in parts)
    whole = parts[0].new_zeros(shape)
    start = 0
    for part in parts:
        whole[start : start + part.shape[0]].narrow(dim, 0, part.shape[dim]).copy_(part)
        start += part.shape[0]
    return whole


def advance(layer: Layer, states: Tensor, cached: KeysValues, memory: KeysValues, state: DecoderState) -> Tensor:
    """One decoder layer over the beams' newest positions [B, K, D], which it appends to its cache."""
    keys, values = cached
    slots, beams = state.slots, states.shape[1]

    def attend_past(x: Tensor) -> Tensor:
        own_keys, own_values = layer.self_attn.keys_values(x)
        keys[:, :, slots - beams : slots] = own_keys
        values[:, :, slots - beams : slots] = own_values
        past = keys[:, :, :slots], values[:, :, :slots]
        mask = state.ancestors[:, None]  # [B, 1, K, slots]
        queries = layer.self_attn.queries(x)
        return layer.self_attn.merge(functional.scaled_dot_product_attention(queries, *past, attn_mask=mask))

    def attend_memory(x: Tensor) -> Tensor:
        queries = layer.encoder_attn.queries(x)
        mask = state.memory_mask
        return layer.encoder_attn.merge(functional.scaled_dot_product_attention(queries, *memory, attn_mask=mask))

    states = layer.block(layer.self_attn_layer_norm, states, attend_past)
    states = layer.block(layer.encoder_attn_layer_norm, states, attend_memory)
    return layer.block(layer.final_layer_norm, states, layer.feed_forward)


def with_room(state: DecoderState, beams: int) -> DecoderState:
    """The state with room for one more step: slots no beam descends from go first, then the cache doubles.

    Beams share most of their past, so the cache holds little more than one beam's length.
    """
    if state.slots + beams <= state.capacity:
        return state
    alive = state.ancestors.any(dim=1)  # [B, slots]
    kept = int(alive.sum(dim=1).max())
    capacity = state.capacity
    while kept + beams > capacity // 2:
        capacity *= 2
    order = alive.int().argsort(dim=1, descending=True, stable=True)[:, :kept]  # [B, kept]

    def moved(cached: Tensor) -> Tensor:
        batch, heads, _, width = cached.shape
        room = cached.new_zeros(batch, heads, capacity, width)
        room[:, :, :kept] = cached.gather(2, order[:, None, :, None].expand(-1, heads, -1, width))
        return room

    return replace(
        state,
        cache=tuple((moved(key), moved(value)) for key, value in state.cache),
        ancestors=state.ancestors.gather(2, order[:, None].expand(-1, state.beams, -1)),
    )
