"""A model's weights as an accelerator likes them: few large matrices, in one number format."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from dialogue_predictor.model.transformer import DialogueTransformer, Layer

ALIGNED = 64  # matrices whose sides are multiples of it use the matrix units fully


@dataclass(frozen=True)
class DecoderLayer:
    """A layer and the joint projection to queries, keys and values of its self-attention."""

    layer: Layer
    queries_keys_values: nn.Linear  # [D] → [3 H W]

    def parameters(self) -> list[nn.Parameter]:
        return [*self.layer.parameters(), *self.queries_keys_values.parameters()]


@dataclass(frozen=True)
class CudaWeights:
    """A model on a device. `model` holds all that is not fused; its embedding has the vocabulary's padding too."""

    model: DialogueTransformer
    layers: tuple[DecoderLayer, ...]  # one with shared parameters several times
    memory: nn.Linear  # [D] → [M, 2, H W]: the keys and values of the cross-attention of the M layers that differ
    vocabulary: int
    logits_bias: Tensor | None  # [V] in full precision; None where it is zero, as in most models

    @property
    def device(self) -> torch.device:
        return self.memory.weight.device

    @property
    def heads(self) -> tuple[int, int]:
        """How many heads, and how wide."""
        return self.model.config.heads, self.model.config.head_width

    @property
    def memories(self) -> int:
        """How many layers differ."""
        heads, width = self.heads
        return self.memory.out_features // (2 * heads * width)


@torch.no_grad()
def packed(model: DialogueTransformer, device: torch.device, precision: torch.dtype) -> CudaWeights:
    """A copy; the model stays as it is. What is fused is not kept apart as well."""
    bias = model.final_logits_bias[0].to(device, torch.promote_types(precision, torch.float32))
    model = copy.deepcopy(model).eval().to(device, precision)
    vocabulary = model.config.vocab_size
    padding = -vocabulary % ALIGNED
    model.model.shared.weight = nn.Parameter(functional.pad(model.model.shared.weight, (0, 0, 0, padding)))
    blocks = model.model.decoder.blocks
    layers = list(dict.fromkeys(blocks))
    memory = fused([part for layer in layers for part in (layer.encoder_attn.k_proj, layer.encoder_attn.v_proj)])
    own = {
        layer: DecoderLayer(layer, fused([layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj]))
        for layer in layers
    }
    for layer in layers:
        del layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj
        del layer.encoder_attn.k_proj, layer.encoder_attn.v_proj
    return CudaWeights(
        model=model.requires_grad_(False),
        layers=tuple(own[layer] for layer in blocks),
        memory=memory,
        vocabulary=vocabulary,
        logits_bias=bias if bool(bias.any()) else None,
    )


def fused(parts: Sequence[nn.Linear]) -> nn.Linear:
    """Several projections of the same input as one."""
    weight = torch.cat([part.weight for part in parts])
    whole = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    whole.weight = nn.Parameter(weight, requires_grad=False)
    whole.bias = nn.Parameter(torch.cat([part.bias for part in parts]), requires_grad=False)
    return whole
