"""Weights on disk: safetensors in half precision, which halves a bundle and costs replies nothing one could read."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from dialogue_predictor.artifacts.bundle import Bundle
from dialogue_predictor.errors import LoadFailed
from dialogue_predictor.model.transformer import DialogueTransformer


def load_model(bundle: Bundle) -> DialogueTransformer:
    """The bundle's model in fp32, ready to answer. Raises LoadFailed when the weights do not fit the architecture."""
    path = bundle.weights_path
    try:
        state = {name: value.float() for name, value in load_file(path).items()}
    except SafetensorError as error:
        raise LoadFailed(f"{path}: not a safetensors file: {error}") from error
    model = DialogueTransformer(bundle.architecture)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise LoadFailed(f"{path} does not fit the architecture in config.json: {error}") from error
    return model.eval()


def save_weights(state: Mapping[str, Tensor], path: Path) -> None:
    """Write a state dict in half precision. Raises ValueError on a weight that half precision cannot hold."""
    halves = {name: value.detach().to(torch.float16).contiguous() for name, value in state.items()}
    for name, value in halves.items():
        if not bool(torch.isfinite(value).all()):
            raise ValueError(f"{name} is not finite in half precision")
    save_file(halves, path)
