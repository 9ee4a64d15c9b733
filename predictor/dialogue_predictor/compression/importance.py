"""What each part of a model matters for the loss: heads and hidden units by their gates' gradients, layers by absence.

A gate of one multiplies what a head or a hidden unit gives. The gradient of the loss by that gate is the first-order
Taylor estimate of what taking the part away would cost; its magnitude is averaged over examples. Michel et al. 2019,
arXiv:1905.10650; Molchanov et al. 2019, arXiv:1906.10771.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from dialogue_predictor.model.attention import Attention
from dialogue_predictor.model.transformer import DialogueTransformer, Layer

BatchT = TypeVar("BatchT")
ModuleT = TypeVar("ModuleT", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class Importance:
    """By the module's name in the model: a value for each head [H] of an attention, each hidden unit [F] of a layer, and
    the loss that a whole layer's absence adds."""

    heads: dict[str, Tensor]
    hidden: dict[str, Tensor]
    layers: dict[str, float]


def measure_importance(
    model: DialogueTransformer, batches: Sequence[BatchT], loss: Callable[[BatchT], Tensor]
) -> Importance:
    """`loss` is the mean loss of a batch under the model, which ends with no gradients. Raises ValueError on no batch."""
    if not batches:
        raise ValueError("importance needs at least one batch")
    was_training = model.training
    model.eval()
    attentions, layers = modules(model, Attention), modules(model, Layer)
    heads = {name: torch.zeros(module.heads) for name, module in attentions.items()}
    hidden = {name: torch.zeros(module.fc2.in_features) for name, module in layers.items()}
    gated = [(total, attentions[name].out_proj) for name, total in heads.items()]
    gated += [(total, layers[name].fc2) for name, total in hidden.items()]
    for batch in batches:
        with ExitStack() as stack:
            seen = [(total, stack.enter_context(gates(module, len(total)))) for total, module in gated]
            loss(batch).backward()  # type: ignore[no-untyped-call]
        for total, found in seen:
            for gate in found:
                if gate.grad is not None:
                    total += gate.grad.abs().sum(dim=(0, 1)).cpu()
        model.zero_grad(set_to_none=True)
    absent = {name: added(layer, batches, loss) for name, layer in layers.items()}
    model.train(was_training)
    return Importance(heads, hidden, absent)


@contextmanager
def gates(module: nn.Module, units: int) -> Iterator[list[Tensor]]:
    """For a while the inputs [B, T, U·W] of a module pass a gate [B, 1, U] of ones; the gates of all calls are listed."""
    found: list[Tensor] = []

    def multiply(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        states = inputs[0]
        gate = torch.ones(len(states), 1, units, device=states.device, requires_grad=True)
        found.append(gate)
        return ((torch.unflatten(states, -1, (units, -1)) * gate[..., None].to(states.dtype)).flatten(-2),)

    with module.register_forward_pre_hook(multiply):
        yield found


@torch.no_grad()
def added(layer: nn.Module, batches: Sequence[BatchT], loss: Callable[[BatchT], Tensor]) -> float:
    """By how much the mean loss grows when what comes to the layer passes it unchanged."""
    whole = sum(float(loss(batch)) for batch in batches)
    with layer.register_forward_hook(lambda _, inputs, output: inputs[0]):
        without = sum(float(loss(batch)) for batch in batches)
    return (without - whole) / len(batches)


def modules(model: nn.Module, kind: type[ModuleT]) -> dict[str, ModuleT]:
    return {name: module for name, module in model.named_modules() if isinstance(module, kind)}
