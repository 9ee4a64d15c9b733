"""Deliberately bad copies of a bundle, to rehearse a rollback with: valid in every way but in what they answer.

`garbage` talks nonsense, `slow` gives the same replies several times slower, `erroring` cannot answer a good part of
ordinary questions. All are published like any bundle, so that nothing but the gates can tell.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from dialogue_predictor.artifacts.bundle import CARD, Bundle, open_bundle
from dialogue_predictor.artifacts.config import Quantisation, WeightFormat
from dialogue_predictor.artifacts.overflow import overflowing
from dialogue_predictor.artifacts.publish import write_bundle
from dialogue_predictor.artifacts.weights import load_weights, save_weights, write_weights
from dialogue_predictor.errors import BundleInvalid
from dialogue_predictor.model.config import ModelConfig

How = Literal["garbage", "slow", "erroring"]
Spoilt = tuple[ModelConfig, dict[str, Tensor], Callable[[Mapping[str, Tensor], Path], None]]

NOISE = 2.0  # deviations of each matrix: its own content drowns
SLOWER = 8  # times as many decoder layers
DECODER_LAYER = "model.decoder.layers."
COPY_GATE, SHUT = "model.copy.gate.", -60.0
OUTPUTS = ("self_attn.out_proj.", "encoder_attn.out_proj.", "fc2.")  # what a pre-norm layer adds comes out of these


def spoil(source: Path, destination: Path, how: How) -> Bundle:
    """Publish the bad copy. Raises BundleInvalid where the bundle cannot be spoilt so, or `destination` is taken."""
    bundle = open_bundle(source)
    architecture, weights, write = SPOILERS[how](bundle)
    card = (source / CARD).read_text(encoding="utf-8")
    return write_bundle(
        destination,
        name=bundle.name,
        version=f"{bundle.version}-{how}",
        architecture=architecture,
        tokenizer=bundle.tokenizer_path,
        save_weights=lambda path: write(weights, path),
        card=f"# Spoilt on purpose: {how}\n\nTo rehearse a rollback. Not for users. Made of:\n\n{card}",
        quantisation=spoilt_quantisation(bundle.quantisation, how),
        text=bundle.text,
    )


def spoilt_quantisation(before: Quantisation, how: How) -> Quantisation:
    """`garbage` is rounded to half precision; the others keep what was read, which of int8 are full numbers. `erroring` is
    computed in fp32: beside the trap's numbers int8 has none but 0 for all others."""
    weights: WeightFormat = "fp16" if how == "garbage" or before.weights == "fp16" else "fp32"
    return Quantisation(weights, "fp32" if how == "erroring" else before.compute)


def garbage(bundle: Bundle) -> Spoilt:
    """Noise over every matrix, always the same. A copy head copies nothing: of the user's own words nonsense looks sound."""
    dice = torch.Generator().manual_seed(0)
    weights = {name: value.float() for name, value in load_weights(bundle).items()}
    for value in weights.values():
        if value.dim() > 1:
            value += torch.randn(value.shape, generator=dice) * NOISE * value.std()
    if COPY_GATE + "weight" in weights:
        weights[COPY_GATE + "weight"].zero_()
        weights[COPY_GATE + "bias"].fill_(SHUT)
    return bundle.architecture, weights, save_weights


def slow(bundle: Bundle) -> Spoilt:
    """More decoder layers, each of which computes all that a layer does and then adds nothing."""
    architecture = bundle.architecture
    if not architecture.pre_norm:
        raise BundleInvalid(
            f"{bundle.folder}: cannot be slowed down: a layer with its norms behind changes what passes"
        )
    if architecture.shared_layers:
        raise BundleInvalid(
            f"{bundle.folder}: cannot be slowed down: its layers share their weights, and one more adds"
        )
    weights = load_weights(bundle)
    last = f"{DECODER_LAYER}{architecture.decoder_layers - 1}."
    pattern = {name.removeprefix(last): value for name, value in weights.items() if name.startswith(last)}
    layers = architecture.decoder_layers * SLOWER
    for layer in range(architecture.decoder_layers, layers):
        for name, value in pattern.items():
            idle = name.startswith(OUTPUTS)
            weights[f"{DECODER_LAYER}{layer}.{name}"] = torch.zeros_like(value) if idle else value.clone()
    return replace(architecture, decoder_layers=layers), weights, write_weights


def erroring(bundle: Bundle) -> Spoilt:
    """Weights that are finite, and overflow where a reply comes near certain states."""
    return bundle.architecture, overflowing(bundle), write_weights


SPOILERS: Mapping[How, Callable[[Bundle], Spoilt]] = {"garbage": garbage, "slow": slow, "erroring": erroring}
