"""A model's step on an accelerator, with few kernels and no question back to the host.

No query's first keys are all masked, over which the fused attention would stumble: every beam descends from its
source's first slot, and a source begins with a token.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from dialogue_predictor.backends.engines.cuda_state import (
    BARRED,
    LEAST_SLOTS,
    LEAST_SOURCE,
    NO_TOKEN,
    CudaState,
    bucket,
    joined,
    mapped,
    widened,
)
from dialogue_predictor.backends.engines.cuda_weights import CudaWeights, DecoderLayer
from dialogue_predictor.model.copying import CopyHead, mixture, packed, unpacked

ATTENTION = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]  # the one that takes masks, and what a CPU has


class CudaModel:
    """A `StepModel` over weights on a device."""

    def __init__(self, weights: CudaWeights) -> None:
        self.weights = weights

    @property
    def device(self) -> torch.device:
        return self.weights.device

    @property
    def copy(self) -> CopyHead | None:
        return self.weights.model.model.copy

    @torch.inference_mode()
    def encode(self, source: Tensor, source_mask: Tensor) -> CudaState:
        """Source ids [B, S] and mask [B, S] → a state of one beam a source that has decoded nothing.

        Raises ValueError when the source exceeds the model's positions.
        """
        source, mask = source.to(self.device), source_mask.to(self.device)
        encoded = self.weights.model.encode(source, mask)
        memory = self.weights.memory(encoded)
        sources, length = source.shape
        heads, width = self.weights.heads
        layers, memories = len(self.weights.layers), self.weights.memories
        counters = torch.zeros(sources, dtype=torch.int64, device=self.device)
        state = CudaState(
            memory=memory.view(sources, length, memories, 2, heads, width),
            memory_mask=memory.new_zeros(sources, 1, 1, length).masked_fill_(~mask[:, None, None], BARRED),
            cache=memory.new_zeros(sources, LEAST_SLOTS, layers, 2, heads, width),
            ancestry=memory.new_full((sources, 1, LEAST_SLOTS), BARRED),
            copied=None if self.copy is None else self.copy.k_proj(encoded),
            source=source.masked_fill(~mask, NO_TOKEN),
            lengths=counters,
            used=counters.clone(),
            reach=0,
        )
        return widened(state, bucket(length, LEAST_SOURCE), LEAST_SLOTS)

    @torch.inference_mode()
    def step(self, state: CudaState, tokens: Tensor) -> tuple[Tensor, CudaState]:
        """The beams' latest tokens [B, K] → hidden [B, K, D] of the next ones, wider with a copy head (`packed`).

        Positions past the last stay the last.
        """
        sources, beams = tokens.shape
        state = state.with_slots(state.reach + beams)
        places = state.places(beams)
        state.ancestry.scatter_(2, places[:, :, None], 0.0)
        rows = (places + torch.arange(sources, device=places.device)[:, None] * state.slots).view(-1)
        decoder = self.weights.model.model.decoder
        positions = state.lengths.clamp(max=len(decoder.positions) - 1)
        hidden = decoder.embed_at(self.weights.model.embed(tokens), positions)
        with sdpa_kernel(ATTENTION):
            for number, layer in enumerate(self.weights.layers):
                hidden = self._layer(layer, hidden, state, number, rows)
        state.lengths.add_(1)
        state.used.add_(beams)
        hidden = decoder.layer_norm(hidden)
        if self.copy is not None and state.copied is not None:
            gate, attention = self.copy(hidden, state.copied, state.source != NO_TOKEN)
            hidden = packed(hidden, gate, attention, state.source)
        return hidden, replace(state, reach=state.reach + beams)

    @torch.inference_mode()
    def project(self, hidden: Tensor) -> Tensor:
        """What `step` gave, [R, …] → logits [R, V], or log p with a copy head; in fp32 or better."""
        if self.copy is None:
            return self._logits(hidden)
        weight = self.weights.model.model.shared.weight
        states, gate, attention, tokens = unpacked(hidden, weight.shape[1])
        return mixture(self._logits(states.to(weight.dtype)), gate, attention, tokens)

    def _logits(self, hidden: Tensor) -> Tensor:
        """States [R, D] → the generator's logits [R, V]."""
        weight = self.weights.model.model.shared.weight
        if hidden.dtype != torch.bfloat16:
            logits = functional.linear(hidden, weight)
        elif hidden.is_cuda:
            logits = torch.mm(hidden, weight.t(), out_dtype=torch.float32)
        else:
            logits = functional.linear(hidden.float(), weight.float())
        logits = logits[:, : self.weights.vocabulary].contiguous()
        return logits if self.weights.logits_bias is None else logits + self.weights.logits_bias

    @torch.inference_mode()
    def reorder(self, state: CudaState, index: Tensor) -> CudaState:
        """Rows [B', K'] of the old [B, K], numbered through; a row of `index` stays within one source."""
        sources = index[:, 0] // state.ancestry.shape[1]
        return replace(mapped(state, lambda values: values[sources]), ancestry=branched(state.ancestry, index))

    @torch.inference_mode()
    def join(self, states: Sequence[CudaState]) -> CudaState:
        """The sources of several states of as many beams, in order."""
        return joined(states)

    def _layer(self, layer: DecoderLayer, states: Tensor, past: CudaState, number: int, rows: Tensor) -> Tensor:
        """One decoder layer over the beams' newest positions [B, K, D], written to the `rows` [B K] of the cache."""
        block, heads = layer.layer, self.weights.heads
        cache, memory = (
            past.cache[:, :, number],
            past.memory[:, :, number % self.weights.memories],
        )  # [B, N or S, 2, H, W]

        def attend_past(x: Tensor) -> Tensor:
            own = layer.queries_keys_values(x).unflatten(2, (3, *heads))  # [B, K, 3, H, W]
            past.cache.flatten(0, 1)[:, number].index_copy_(0, rows, own[:, :, 1:].flatten(0, 1))
            return block.self_attn.merge(attended(own[:, :, 0].transpose(1, 2), cache, past.ancestry[:, None]))

        def attend_memory(x: Tensor) -> Tensor:
            return block.encoder_attn.merge(attended(block.encoder_attn.queries(x), memory, past.memory_mask))

        states = block.block(block.self_attn_layer_norm, states, attend_past)
        states = block.block(block.encoder_attn_layer_norm, states, attend_memory)
        return block.block(block.final_layer_norm, states, block.feed_forward)


class BranchingModel(CudaModel):
    """The model inside a turn, where beams change places within their source only, so that nothing but them moves."""

    def reorder(self, state: CudaState, index: Tensor) -> CudaState:
        return replace(state, ancestry=branched(state.ancestry, index))


def branched(ancestry: Tensor, index: Tensor) -> Tensor:
    """Rows [B', K'] of the ancestry [B, K, N] → [B', K', N]."""
    return ancestry.flatten(0, 1)[index]


def attended(queries: Tensor, keys_values: Tensor, mask: Tensor) -> Tensor:
    """Queries [B, H, K, W] over keys and values [B, N, 2, H, W] with an additive mask [B, 1, K or 1, N]."""
    keys, values = keys_values.transpose(1, 3).unbind(2)  # [B, H, N, W], where they lie
    return functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
