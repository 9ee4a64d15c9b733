"""Decoding on a CPU: packed linear layers, shared cross-attention, and a cache that never moves.

Against the readable `IncrementalModel` it computes the same with fewer and larger operations: queries, keys and values
of a layer in one product, all layers' cross-attention keys and values in one, padding left out of the encoder's linear
layers, keys stored transposed so that a step's attention is two plain batched products.

Guarantee: a source's numbers do not depend on what its neighbours say. How many neighbours there are may change the
order in which a library adds up, and so the last bits: scores agree to about 1e-4 in fp32, and a reply differs only
where two hypotheses are closer than that. In batches of the same shape they agree to the bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from dialogue_predictor.backends.engines.layers import DecoderLayer, EncoderLayer, Padding
from dialogue_predictor.backends.engines.linear import Packer, Precision
from dialogue_predictor.model.transformer import DialogueTransformer

FIRST_CAPACITY = 80
STEPS_OF_ROOM = 4
VOCABULARY_STEP = 64
UNSEEN = float("-inf")


@dataclass(frozen=True)
class CpuState:
    """What B sources of K beams each know of their past, in L layers.

    A slot holds the keys and values of one beam's token and stays where it was written; a beam sees the slots that it
    descends from. Buffers are shared between a state and its successor: only the latest may be used.
    """

    memory_keys: Tensor  # [L, B, H, D/H, S]
    memory_values: Tensor  # [L, B, H, S, D/H]
    memory_bias: Tensor | None  # [B, S], 0 on real tokens and -inf on padding; None without padding
    keys: Tensor  # [L, B, H, capacity, D/H]
    values: Tensor  # [L, B, H, capacity, D/H]
    bias: Tensor  # [B, K, slots], 0 where the beam descends from the slot and -inf elsewhere
    lengths: Tensor  # [B], tokens already decoded

    @property
    def beams(self) -> int:
        return self.bias.shape[1]

    @property
    def slots(self) -> int:
        return self.bias.shape[2]

    @property
    def capacity(self) -> int:
        return self.values.shape[3]


class CpuEngine:
    """A `DialogueTransformer` packed for decoding in a precision, seen through the search's seam.

    Several threads may use one engine at once, each with states of its own. With `release` the model's linear layers
    are emptied as they are packed, so that a model is not in memory twice; the model is of no other use then.
    Raises RuntimeError where the processor cannot compute in the precision.
    """

    def __init__(self, model: DialogueTransformer, precision: Precision = "fp32", *, release: bool = False) -> None:
        self.precision = precision
        encoder, decoder = model.model.encoder, model.model.decoder
        pack = Packer(precision, release=release)
        self._heads = model.config.heads
        self._embed, self._place_source, self._place = model.embed, encoder.embed, decoder.embed_at
        self._encoder_norm, self._decoder_norm = encoder.layer_norm, decoder.layer_norm
        # A search compares sums of log-probabilities that bf16 could not tell apart.
        vocabulary = Packer("fp32", release=False) if precision == "bf16" else pack
        self._tokens, self._positions = model.config.vocab_size, model.config.max_positions
        missing = -self._tokens % VOCABULARY_STEP
        weight = functional.pad(model.model.shared.weight.detach(), (0, 0, 0, missing))
        self._vocabulary = vocabulary.pack(
            weight, functional.pad(model.final_logits_bias[0], (0, missing), value=UNSEEN)
        )
        activation = model.config.activation
        self._encoder = [EncoderLayer(layer, activation, pack) for layer in encoder.blocks]
        self._decoder = [DecoderLayer(layer, activation, pack) for layer in decoder.blocks]
        crossing = [layer.encoder_attn for layer in decoder.blocks]
        self._memory = [pack(each.k_proj, each.v_proj) for each in crossing]

    @torch.inference_mode()
    def encode(self, source: Tensor, source_mask: Tensor) -> CpuState:
        """Source ids [B, S] and mask [B, S] → a state of one beam a source that has decoded nothing.

        Raises ValueError when the source exceeds the model's positions.
        """
        (batch, length), heads = source.shape, self._heads
        states = self._place_source(self._embed(source)).flatten(0, 1)  # [B S, D]
        padding = None if bool(source_mask.all()) else Padding.of(source_mask)
        if padding:
            states = states[padding.real]
        for layer in self._encoder:
            states = layer(states, batch, padding)
        memory = self._encoder_norm(states)
        layers, width = len(self._decoder), states.shape[1] // heads
        memory_keys = states.new_empty(layers, batch, heads, width, length)
        memory_values = states.new_empty(layers, batch, heads, length, width)
        for number, projection in enumerate(self._memory):
            both = projection(memory)  # [B S, 2 D]
            both = (padding.spread(both) if padding else both).view(batch, length, 2, heads, width)
            memory_keys[number] = both[:, :, 0].permute(0, 2, 3, 1)
            memory_values[number] = both[:, :, 1].transpose(1, 2)
        return CpuState(
            memory_keys=memory_keys,
            memory_values=memory_values,
            memory_bias=padding.bias if padding else None,
            keys=states.new_empty(layers, batch, heads, FIRST_CAPACITY, width),
            values=states.new_empty(layers, batch, heads, FIRST_CAPACITY, width),
            bias=states.new_zeros(batch, 1, 0),
            lengths=torch.zeros(batch, dtype=torch.int64),
        )

    @torch.inference_mode()
    def step(self, state: CpuState, tokens: Tensor) -> tuple[Tensor, CpuState]:
        """The beams' latest tokens [B, K] → hidden states [B, K, D] of the next ones."""
        batch, beams = tokens.shape
        state = with_room(state, beams)
        own = torch.full((beams, beams), UNSEEN).fill_diagonal_(0.0)
        bias = torch.cat((state.bias, own.expand(batch, -1, -1)), dim=2)
        state = replace(state, bias=bias)
        past = bias[:, None].expand(-1, self._heads, -1, -1).flatten(0, 1)  # [B H, K, slots]
        source = None
        if state.memory_bias is not None:
            source = state.memory_bias[:, None, None].expand(-1, self._heads, -1, -1).flatten(0, 1)  # [B H, 1, S]
        embedded = self._embed(tokens.clamp(max=self._tokens - 1))
        states = self._place(embedded, state.lengths.clamp(max=self._positions - 1)).flatten(0, 1)  # [B K, D]
        new = slice(state.slots - beams, state.slots)
        for number, layer in enumerate(self._decoder):
            cache = state.keys[number], state.values[number]
            memory = state.memory_keys[number], state.memory_values[number]
            states = layer(states, beams, cache, new, past, memory, source)
        hidden = self._decoder_norm(states).view(batch, beams, -1)
        return hidden, replace(state, lengths=state.lengths + 1)

    @torch.inference_mode()
    def project(self, hidden: Tensor) -> Tensor:
        """[R, D] → logits [R, V], and columns of -inf behind them up to a size that kernels like."""
        return self._vocabulary(hidden)

    @torch.inference_mode()
    def reorder(self, state: CpuState, index: Tensor) -> CpuState:
        """Rows [B', K'] of the old [B, K], numbered through; a row of `index` stays within one source."""
        bias = state.bias.flatten(0, 1)[index]
        sources = index[:, 0] // state.beams
        if torch.equal(sources, torch.arange(len(state.lengths))):
            return replace(state, bias=bias)
        return CpuState(
            memory_keys=state.memory_keys.index_select(1, sources),
            memory_values=state.memory_values.index_select(1, sources),
            memory_bias=None if state.memory_bias is None else state.memory_bias[sources],
            keys=state.keys.index_select(1, sources),
            values=state.values.index_select(1, sources),
            bias=bias,
            lengths=state.lengths[sources],
        )

    @torch.inference_mode()
    def join(self, states: Sequence[CpuState]) -> CpuState:
        """The sources of several states of as many beams each, in order, in one state."""
        longest = max(each.memory_keys.shape[4] for each in states)
        slots = max(each.slots for each in states)
        capacity = max(each.capacity for each in states)
        padded = any(each.memory_bias is not None or each.memory_keys.shape[4] < longest for each in states)
        return CpuState(
            memory_keys=torch.cat([widened(each.memory_keys, 4, longest) for each in states], dim=1),
            memory_values=torch.cat([widened(each.memory_values, 3, longest) for each in states], dim=1),
            memory_bias=torch.cat([widened(source_bias(each), 1, longest, UNSEEN) for each in states])
            if padded
            else None,
            keys=torch.cat([resized(each.keys, each.slots, slots, capacity) for each in states], dim=1),
            values=torch.cat([resized(each.values, each.slots, slots, capacity) for each in states], dim=1),
            bias=torch.cat([widened(each.bias, 2, slots, UNSEEN) for each in states]),
            lengths=torch.cat([each.lengths for each in states]),
        )

    @torch.inference_mode()
    def seat(self, state: CpuState, sources: Tensor, newcomers: CpuState) -> CpuState:
        """The newcomers [N] in the places of some sources [N], in the same buffers; nothing of those is left.

        Not even numbers that are none: a bias of -inf would not hide them.
        """
        length, slots = newcomers.memory_keys.shape[4], newcomers.slots
        if length > state.memory_keys.shape[4] or slots > state.slots:
            state = self.join((state, newcomers))
            kept = torch.arange(len(state.lengths) - len(sources))
            kept[sources] = torch.arange(len(kept), len(state.lengths))
            return self.reorder(state, kept[:, None] * state.beams + torch.arange(state.beams))
        for cached in (state.memory_keys, state.memory_values, state.keys, state.values):
            cached[:, sources] = 0.0
        state.memory_keys[:, sources, :, :, :length] = newcomers.memory_keys
        state.memory_values[:, sources, :, :length] = newcomers.memory_values
        state.keys[:, sources, :, :slots] = newcomers.keys[:, :, :, :slots]
        state.values[:, sources, :, :slots] = newcomers.values[:, :, :, :slots]
        state.bias[sources] = widened(newcomers.bias, 2, state.slots, UNSEEN)
        state.lengths[sources] = newcomers.lengths
        memory_bias = state.memory_bias
        if memory_bias is not None or newcomers.memory_bias is not None or length < state.memory_keys.shape[4]:
            memory_bias = source_bias(state)
            memory_bias[sources] = widened(source_bias(newcomers), 1, state.memory_keys.shape[4], UNSEEN)
        return replace(state, memory_bias=memory_bias)


def with_room(state: CpuState, beams: int) -> CpuState:
    """The state with room for one more step.

    Slots that no beam descends from are given up first, in place: beams share most of their past, so that little more
    than one beam's length stays. Only where that is not enough is the cache made larger.
    """
    if state.slots + beams <= state.capacity:
        return state
    alive = (state.bias == 0.0).any(dim=1)  # [B, slots]
    kept = int(alive.sum(dim=1).max()) if state.slots else 0
    order = alive.int().argsort(dim=1, descending=True, stable=True)[:, :kept]  # [B, kept]
    chosen = order[:, None, :, None]  # [B, 1, kept, 1]
    for cached in (*state.keys, *state.values):  # [B, H, capacity, D/H]
        cached[:, :, :kept] = cached.gather(2, chosen.expand(-1, cached.shape[1], -1, cached.shape[3]))
    capacity = state.capacity
    if kept + STEPS_OF_ROOM * beams > capacity:
        capacity += capacity // 2
    return replace(
        state,
        keys=resized(state.keys, kept, kept, capacity),
        values=resized(state.values, kept, kept, capacity),
        bias=state.bias.gather(2, order[:, None].expand(-1, state.beams, -1)),
    )


def resized(cached: Tensor, slots: int, seen: int, capacity: int) -> Tensor:
    """A cache [L, B, H, old capacity, D/H] of so many slots, for `capacity`: zero from there up to the slot `seen`.

    What lies behind is never looked at before it is written; nothing that is looked at may be no number, not even
    under a bias of -inf.
    """
    if cached.shape[3] == capacity and slots == seen:
        return cached
    room = cached.new_empty(*cached.shape[:3], capacity, cached.shape[4])
    room[:, :, :, :slots] = cached[:, :, :, :slots]
    room[:, :, :, slots:seen] = 0.0
    return room


def widened(tensor: Tensor, dim: int, size: int, fill: float = 0.0) -> Tensor:
    """The tensor with `fill` behind its values along `dim`, up to `size`."""
    missing = size - tensor.shape[dim]
    if not missing:
        return tensor
    return functional.pad(tensor, [0, 0] * (tensor.dim() - 1 - dim) + [0, missing], value=fill)


def source_bias(state: CpuState) -> Tensor:
    if state.memory_bias is not None:
        return state.memory_bias
    return state.memory_keys.new_zeros(len(state.lengths), state.memory_keys.shape[4])
