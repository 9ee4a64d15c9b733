"""Decoding on a CPU: packed linear layers, shared cross-attention, and a cache that never moves.

Against the readable `IncrementalModel` it computes the same with fewer and larger operations: queries, keys and values
of a layer in one product, all layers' cross-attention keys and values in one, padding left out of the encoder's linear
layers, keys stored transposed so that a step's attention is two plain batched products.

Guarantee: a source's numbers do not depend on what its neighbours say. How many neighbours there are may change the
order in which a library adds up, and so the last bits: scores agree to about 1e-4 in fp32, and a reply differs only
where two hypotheses are closer than that. In batches of the same shape they agree to the bit.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from dialogue_predictor.backends.engines.cpu_state import UNSEEN, CpuState, Rooms
from dialogue_predictor.backends.engines.layers import DecoderLayer, EncoderLayer, Padding
from dialogue_predictor.backends.engines.linear import Packer, Precision
from dialogue_predictor.backends.engines.pointing import Pointable, Pointer
from dialogue_predictor.backends.engines.room import Pool, trim
from dialogue_predictor.model.transformer import DialogueTransformer

FIRST_CAPACITY = 80
VOCABULARY_STEP = 64


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
        self._pool = Pool()
        self._rooms = Rooms(self._pool)
        self._heads, self._head_width = model.config.heads, model.config.head_width
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
        own = {layer: EncoderLayer(layer, activation, pack) for layer in dict.fromkeys(encoder.blocks)}
        self._encoder = [own[layer] for layer in encoder.blocks]
        crossing = {layer: DecoderLayer(layer, activation, pack) for layer in dict.fromkeys(decoder.blocks)}
        self._decoder = [crossing[layer] for layer in decoder.blocks]
        self._memory = [pack(layer.encoder_attn.k_proj, layer.encoder_attn.v_proj) for layer in crossing]
        self._pointer = Pointer(model.model.copy, vocabulary) if model.model.copy is not None else None

        if release:
            trim()

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
        layers, memories, width = len(self._decoder), len(self._memory), self._head_width
        crossing = self._pool.room((memories, batch, heads, width, length), (memories, batch, heads, length, width))
        own = layers, batch, heads, FIRST_CAPACITY, width
        for number, projection in enumerate(self._memory):
            both = spread(projection(memory), padding).view(batch, length, 2, heads, width)
            crossing.keys[number] = both[:, :, 0].permute(0, 2, 3, 1)
            crossing.values[number] = both[:, :, 1].transpose(1, 2)
        pointable = None
        if self._pointer is not None:
            keys = spread(self._pointer.keys(memory), padding).view(batch, length, -1)
            pointable = Pointable.of(keys, source)
        return CpuState(
            memory=crossing,
            memory_bias=padding.bias if padding else None,
            pointable=pointable,
            past=self._pool.room(own, own),
            bias=states.new_zeros(batch, 1, 0),
            lengths=torch.zeros(batch, dtype=torch.int64),
        )

    @torch.inference_mode()
    def step(self, state: CpuState, tokens: Tensor) -> tuple[Tensor, CpuState]:
        """The beams' latest tokens [B, K] → hidden states [B, K, D] of the next ones, wider with a copy head."""
        batch, beams = tokens.shape
        state = self._rooms.with_slots(state, beams)
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
            cache = state.past.keys[number, :batch], state.past.values[number, :batch]
            crossed = number % len(self._memory)
            memory = state.memory.keys[crossed, :batch], state.memory.values[crossed, :batch]
            states = layer(states, beams, cache, new, past, memory, source)
        hidden = self._decoder_norm(states).view(batch, beams, -1)
        if self._pointer is not None and state.pointable is not None:
            hidden = self._pointer.hidden(hidden, state.pointable, state.memory_bias)
        return hidden, replace(state, lengths=state.lengths + 1)

    @torch.inference_mode()
    def project(self, hidden: Tensor) -> Tensor:
        """What `step` gave, [R, …] → logits [R, V], or log p with a copy head, and columns of -inf behind them up to a
        size that kernels like."""
        if self._pointer is not None:
            return self._pointer.log_probabilities(hidden, self._vocabulary)
        return self._vocabulary(hidden)

    @torch.inference_mode()
    def reorder(self, state: CpuState, index: Tensor) -> CpuState:
        """Rows [B', K'] of the old [B, K], numbered through; a row of `index` stays within one source.

        Uses the old state up. A source that keeps its place is not copied.
        """
        bias = state.bias.flatten(0, 1)[index]
        sources = index[:, 0] // state.beams
        if torch.equal(sources, torch.arange(state.sources)):
            return replace(state, bias=bias)
        return self._rooms.moved(state, sources, bias)

    @torch.inference_mode()
    def join(self, states: Sequence[CpuState]) -> CpuState:
        """The sources of several states of as many beams each, in order, in one state. Uses them up."""
        return self._rooms.joined(states)

    @torch.inference_mode()
    def seat(self, state: CpuState, sources: Tensor, newcomers: CpuState) -> CpuState:
        """The newcomers [N] in the places of some sources [N]; nothing of those is left. Uses both states up."""
        return self._rooms.seated(state, sources, newcomers)


def spread(rows: Tensor, padding: Padding | None) -> Tensor:
    """Rows of real tokens → of all positions [B S, …]."""
    return padding.spread(rows) if padding else rows
