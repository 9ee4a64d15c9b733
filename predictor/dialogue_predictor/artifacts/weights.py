"""Weights on disk: safetensors in half precision, which halves a bundle and costs replies nothing one could read."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from dialogue_predictor.artifacts.bundle import Bundle
from dialogue_predictor.errors import BundleInvalid, LoadFailed
from dialogue_predictor.model.transformer import DialogueTransformer, filled, is_finite


def load_model(bundle: Bundle) -> DialogueTransformer:
    """The bundle's model in fp32, ready to answer.

    Raises LoadFailed when the weights do not fit the architecture, BundleInvalid when some are not numbers.
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
    """The tensors as they are stored. Raises LoadFailed."""
    try:
        return load_file(bundle.weights_path)
    except SafetensorError as error:
        raise LoadFailed(f"{bundle.weights_path}: not a safetensors file: {error}") from error


def save_weights(state: Mapping[str, Tensor], path: Path) -> None:
    """Write a state dict in half precision. Raises ValueError on a weight that half precision cannot hold."""
    halves = {name: value.detach().to(torch.float16).contiguous() for name, value in state.items()}
    for name, value in halves.items():
        if not is_finite(value):
            raise ValueError(f"{name} is not finite in half precision")
    write_weights(halves, path)


def write_weights(state: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors in the precisions that they have."""
    save_file(dict(state), path)
