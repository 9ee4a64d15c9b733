"""A folder that Hugging Face's `save_pretrained` wrote, as a model of ours."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dialogue_predictor.model.config import ModelConfig
from dialogue_predictor.model.families.shapes import shape_of
from dialogue_predictor.model.positions import POSITION_OFFSET, sinusoids
from dialogue_predictor.model.transformer import TIED, DialogueTransformer, filled, is_finite

SETTINGS = "config.json"
GENERATION = "generation_config.json"
WEIGHTS = "model.safetensors"

TOKENS = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")
WITH_OFFSET = ("bart", "mbart")  # the families whose tables of positions begin with rows that stand for none
POSITIONS = ("model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight")
VERSIONS = ("model.encoder.version", "model.decoder.version")  # fairseq's, of no meaning here
SINE_TOLERANCE = 1e-2  # tables saved in bf16 are that coarse


def load_hugging_face(folder: Path) -> DialogueTransformer:
    """The checkpoint's model in fp32, ready to answer; its config has the ids that a search must know.

    Reads config.json, model.safetensors and, for the ids, generation_config.json where there is one. Raises ValueError
    that begins with the file and names the setting or tensor.
    """
    settings = read_settings(folder)
    try:
        config = shape_of(settings)
    except ValueError as error:
        raise ValueError(f"{folder / SETTINGS}: {error}") from None
    path = folder / WEIGHTS
    try:
        state = fitted(read_weights(path), config, offset=settings["model_type"] in WITH_OFFSET)
        return filled(config, state)
    except (ValueError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"{path}: {error}") from error


def read_settings(folder: Path) -> dict[str, Any]:
    """config.json, with the token ids that `generate` would take from generation_config.json."""
    settings = read_object(folder / SETTINGS)
    if (folder / GENERATION).is_file():
        generation = read_object(folder / GENERATION)
        settings |= {name: generation[name] for name in TOKENS if generation.get(name) is not None}
    return settings


def read_object(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path}: must be a JSON object")
    return values


def read_weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ValueError("is missing; save the model again, unsharded, with save_pretrained (pickles are never read)")
    return load_file(path)


def fitted(state: dict[str, Tensor], config: ModelConfig, *, offset: bool) -> dict[str, Tensor]:
    """The checkpoint's tensors under our names, in fp32, with what Hugging Face leaves out or adds put right.

    `offset`: its tables of positions have BART's rows in front.
    """
    # Copies: as views of the mapped file they would keep all of it in memory for as long as any of them is used.
    state = {full_name(name): value.to(torch.float32, copy=True) for name, value in state.items()}
    for name in VERSIONS:
        state.pop(name, None)
    for name, value in state.items():
        if not is_finite(value):
            raise ValueError(f"{name} has values that are not finite")
    check_ties(state)
    state.setdefault("final_logits_bias", torch.zeros(1, config.vocab_size))
    for name in POSITIONS:
        if config.positions == "sinusoidal":
            check_sines(name, state.pop(name, None), config)
        elif name in state and not offset:
            state[name] = torch.cat((state[name].new_zeros(POSITION_OFFSET, config.d_model), state[name]))
    return state


def full_name(name: str) -> str:
    """Checkpoints of a bare `BartModel` leave the prefix out."""
    return name if name.startswith(("model.", "lm_head.", "final_logits_bias")) else f"model.{name}"


def check_ties(state: dict[str, Tensor]) -> None:
    copies = [name for name in ("model.shared.weight", *TIED) if name in state]
    for name in copies[1:]:
        if not torch.equal(state[name], state[copies[0]]):
            raise ValueError(f"{name} differs from {copies[0]}; only models with one shared embedding are supported")


def check_sines(name: str, stored: Tensor | None, config: ModelConfig) -> None:
    """A stored table is made anew, so it must be the one that we make."""
    table = sinusoids(config.max_positions, config.d_model)
    if stored is not None and (stored.shape != table.shape or not torch.allclose(stored, table, atol=SINE_TOLERANCE)):
        raise ValueError(f"{name} is not the table of sines that this family has")
