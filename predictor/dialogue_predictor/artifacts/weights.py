"""Weights on disk: safetensors in half precision, in int8 with scales, or as they are.

Half precision halves a bundle, int8 halves it once more; neither costs replies much that one could read. Which of them
a file holds stands in the bundle's config and is never guessed from a name or a dtype.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from dialogue_predictor.artifacts.bundle import Bundle
from dialogue_predictor.artifacts.config import WeightFormat
from dialogue_predictor.errors import BundleInvalid, LoadFailed
from dialogue_predictor.model.transformer import DialogueTransformer, filled, is_finite

SCALE: Final = ".scale"
WEIGHT: Final = ".weight"
MOST: Final = 127  # symmetric: −128 is not used
LEAST: Final = 1e-8  # of a row's peak, so that a row of zeros has a scale


def load_model(bundle: Bundle) -> DialogueTransformer:
    """The bundle's model in fp32, ready to answer.

    Raises LoadFailed when the weights do not fit the architecture, BundleInvalid when some are malformed or not numbers.
    """
    path = bundle.weights_path
    state = {name: value.to(torch.float32, copy=True) for name, value in load_weights(bundle).items()}
    for name, value in state.items():
        if not is_finite(value):
            raise BundleInvalid(f"{path}: {name} has values that are not finite; export and publish the model again")
    try:
        return filled(bundle.architecture, state)
    except RuntimeError as error:
        raise LoadFailed(f"{path} does not fit the architecture in config.json: {error}") from error


def load_weights(bundle: Bundle) -> dict[str, Tensor]:
    """The tensors by name: int8 weights times their scales in fp32, all others as they are stored.

    Raises LoadFailed where the file is none, BundleInvalid naming the tensor where it is not as the config says.
    """
    form = bundle.quantisation.weights
    try:
        stored = load_file(bundle.weights_path)
    except SafetensorError as error:
        raise LoadFailed(f"{bundle.weights_path}: not a safetensors file: {error}") from error
    try:
        return dequantised(stored) if form == "int8" else floating(stored)
    except ValueError as error:
        raise BundleInvalid(f"{bundle.weights_path}: {error}; build and publish the bundle again") from error


def save_weights(state: Mapping[str, Tensor], path: Path, form: WeightFormat = "fp16") -> None:
    """Write a state dict in a format. Raises ValueError on a weight that the format cannot hold."""
    tensors: dict[str, Tensor] = {}
    for name, value in state.items():
        value = value.detach().float()
        if not is_finite(value):
            raise ValueError(f"{name} is not finite")
        if form == "int8" and is_quantised(name, value):
            tensors[name], tensors[name + SCALE] = quantise(value)
        else:
            tensors[name] = value if form == "fp32" else value.half()
            if not is_finite(tensors[name]):
                raise ValueError(f"{name} is not finite in half precision")
    write_weights(tensors, path)


def write_weights(state: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors in the precisions that they have."""
    save_file({name: value.contiguous() for name, value in state.items()}, path)


def is_quantised(name: str, value: Tensor) -> bool:
    """Matrices are; vectors cost nothing, and the output's bias is one for all that it has two dimensions."""
    return name.endswith(WEIGHT) and value.dim() == 2


def quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weight [out, in] → int8 codes [out, in] and scales [out, 1], at most half a scale away.

    Symmetric, a scale for each output (Jacob et al. 2018, arXiv:1712.05877), as the CPU's int8 engine has them: it finds
    the very same codes in what comes of these.
    """
    scale = weight.abs().amax(dim=1, keepdim=True).clamp_min(LEAST) / MOST
    return (weight / scale).round().clamp_(-MOST, MOST).to(torch.int8), scale


def dequantised(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Codes times scales in fp32, vectors as they are. Raises ValueError naming the tensor that is malformed."""
    plain = {name: value for name, value in stored.items() if not name.endswith(SCALE)}
    for name in stored.keys() - plain.keys():
        if name.removesuffix(SCALE) not in plain:
            raise ValueError(f"{name} is the scale of no weight")
    state: dict[str, Tensor] = {}
    for name, value in plain.items():
        scale = stored.get(name + SCALE)
        if not is_quantised(name, value):
            if scale is not None:
                raise ValueError(f"{name + SCALE} belongs to a tensor that has none")
            state |= floating({name: value})
            continue
        if value.dtype != torch.int8:
            raise ValueError(f"{name} is of {value.dtype}, not int8 as config.json says")
        if scale is None:
            raise ValueError(f"{name + SCALE} is missing")
        check_scale(name + SCALE, scale, len(value))
        state[name] = value.float() * scale
    return state


def check_scale(name: str, scale: Tensor, outputs: int) -> None:
    if scale.dtype != torch.float32:
        raise ValueError(f"{name} is of {scale.dtype}, not float32")
    if scale.shape != (outputs, 1):
        raise ValueError(f"{name} has shape {list(scale.shape)}, not {[outputs, 1]}")
    if not is_finite(scale) or not bool((scale > 0).all()):
        raise ValueError(f"{name} has values that are not positive numbers")


def floating(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, all of floating point. Raises ValueError naming one that is not."""
    for name, value in stored.items():
        if not value.is_floating_point():
            raise ValueError(f"{name} is of {value.dtype}, not of floating point as config.json says")
    return dict(stored)
