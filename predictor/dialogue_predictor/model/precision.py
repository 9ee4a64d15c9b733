"""The number format a model computes in.

bf16 halves what a step must read and uses the processor's matrix units. It applies to the linear layers and
to the keys and values they make; embeddings, norms, residuals and logits stay fp32, because beam search
compares sums of log-probabilities that bf16 could not tell apart.
"""

from typing import Any, Literal

import torch
from torch import nn

from dialogue_predictor.model.transformer import DialogueTransformer

Precision = Literal["fp32", "bf16"]


def in_precision(model: DialogueTransformer, precision: Precision) -> DialogueTransformer:
    """Casts a loaded model in place, once, and returns it. Raises ValueError on an unknown precision."""
    if precision == "fp32":
        return model
    if precision != "bf16":
        raise ValueError(f"precision must be fp32 or bf16, got {precision!r}")
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.to(torch.bfloat16)
            module.register_forward_pre_hook(to_weight_type)
    return model


def to_weight_type(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return (inputs[0].to(module.weight.dtype), *inputs[1:])
