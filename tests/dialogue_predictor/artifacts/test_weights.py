"""Weights on disk: what is stored, what is loaded, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from dialogue_predictor.artifacts.bundle import Bundle, open_bundle
from dialogue_predictor.artifacts.config import Quantisation
from dialogue_predictor.artifacts.publish import write_bundle
from dialogue_predictor.artifacts.spoil import spoil
from dialogue_predictor.artifacts.weights import (
    dequantised,
    load_model,
    load_weights,
    quantise,
    save_weights,
    write_weights,
)
from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.decoding.search import decode
from dialogue_predictor.errors import BundleInvalid
from dialogue_predictor.model.incremental import IncrementalModel
from support.tiny_bundles import tiny_bundle
from support.tiny_models import token_ids

MATRIX = "model.encoder.layers.0.fc1.weight"
SCALE = f"{MATRIX}.scale"
INT8 = Quantisation("int8", "int8")
Change = Callable[[dict[str, Tensor]], object]


def written(source: Bundle, folder: Path, save: Callable[[Path], None], quantisation: Quantisation) -> Bundle:
    return write_bundle(folder, "tiny", "2", source.architecture, source.tokenizer_path, save, "# Tiny\n", quantisation)


def int8_bundle(folder: Path) -> Bundle:
    sound = tiny_bundle(folder / "sound")
    return written(sound, folder / "int8", lambda path: save_weights(load_weights(sound), path, "int8"), INT8)


def tampered(folder: Path, change: Change) -> Bundle:
    """An int8 bundle with other tensors, sealed with a digest of its own."""
    bundle = int8_bundle(folder)
    stored = load_file(bundle.weights_path)
    change(stored)
    return written(bundle, folder / "tampered", lambda path: write_weights(stored, path), INT8)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_weight_that_is_no_number_is_refused_by_its_name(tmp_path: Path, value: float) -> None:
    sound = tiny_bundle(tmp_path / "sound")
    weights = load_weights(sound)
    weights["model.decoder.layers.1.fc2.bias"][3] = value
    broken = written(sound, tmp_path / "broken", lambda path: write_weights(weights, path), Quantisation())
    with pytest.raises(BundleInvalid, match=r"model\.decoder\.layers\.1\.fc2\.bias has values that are not finite"):
        load_model(broken)
    with pytest.raises(ValueError, match=r"model\.decoder\.layers\.1\.fc2\.bias is not finite"):
        save_weights(weights, tmp_path / "weights", "int8")


def test_tensors_keep_the_precision_they_are_written_in(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    write_weights({"a": torch.ones(2, dtype=torch.float16), "b": torch.full((2,), 1e30)}, path)
    assert {name: value.dtype for name, value in load_file(path).items()} == {"a": torch.float16, "b": torch.float32}


@given(st.integers(0, 10_000), st.sampled_from([1e-6, 1.0, 1e4]))
@settings(max_examples=50, deadline=None)
def test_int8_is_at_most_half_a_step_away_and_rounding_again_changes_nothing(seed: int, spread: float) -> None:
    weight = torch.randn(5, 7, generator=torch.Generator().manual_seed(seed)) * spread
    weight[2] = 0.0
    codes, scale = quantise(weight)
    assert (codes.dtype, scale.shape) == (torch.int8, (5, 1))
    assert int(codes.min()) >= -127
    rounded = codes.float() * scale
    assert bool(((weight - rounded).abs() <= scale * 0.5001).all())
    assert bool((rounded[2] == 0).all())
    assert torch.equal(quantise(rounded)[0], codes)


def test_int8_stores_matrices_as_codes_with_scales_and_vectors_in_half_precision(tmp_path: Path) -> None:
    bundle = int8_bundle(tmp_path)
    stored = load_file(bundle.weights_path)
    assert (stored[MATRIX].dtype, stored[SCALE].dtype, stored[SCALE].shape) == (torch.int8, torch.float32, (48, 1))
    assert stored["model.encoder.layers.0.fc1.bias"].dtype == torch.float16
    assert stored["final_logits_bias"].dtype == torch.float16  # of two dimensions, and yet no matrix
    whole = (tmp_path / "sound" / "model.safetensors").stat().st_size
    assert bundle.weights_path.stat().st_size < 0.75 * whole


def test_an_int8_bundle_opens_and_replies_nearly_as_its_original(tmp_path: Path) -> None:
    bundle, sound = int8_bundle(tmp_path), open_bundle(tmp_path / "sound")
    assert open_bundle(bundle.folder, bundle.digest).quantisation == INT8
    model, original = load_model(bundle), load_model(sound)
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}
    options = GenerationOptions(num_beams=1, max_new_tokens=1)
    sources = [[5 + index, 17 + 3 * index, 90 + index] for index in range(40)]
    said = [
        [outcome.best.tokens for outcome in decode(IncrementalModel(one), sources, options, token_ids(one.config))]
        for one in (model, original)
    ]
    assert sum(ours == theirs for ours, theirs in zip(*said, strict=True)) >= 36


TAMPERINGS: dict[str, tuple[Change, str]] = {
    "a scale of zero": (lambda stored: stored[SCALE].__setitem__((3, 0), 0.0), f"{SCALE} has values that are not positive"),
    "a negative scale": (lambda stored: stored[SCALE].neg_(), f"{SCALE} has values that are not positive"),
    "a scale that is no number": (lambda stored: stored[SCALE].fill_(float("nan")), f"{SCALE} has values that are not"),
    "an infinite scale": (lambda stored: stored[SCALE].fill_(float("inf")), f"{SCALE} has values that are not"),
    "no scale": (lambda stored: stored.pop(SCALE), f"{SCALE} is missing"),
    "a scale of another shape": (lambda stored: stored.update({SCALE: torch.ones(1)}), rf"{SCALE} has shape \[1\], not \[48, 1\]"),
    "a scale in half precision": (lambda stored: stored.update({SCALE: stored[SCALE].half()}), f"{SCALE} is of torch.float16"),
    "a scale of nothing": (lambda stored: stored.update({"x.scale": torch.ones(1, 1)}), "x.scale is the scale of no weight"),
    "a matrix in half precision": (
        lambda stored: stored.update({MATRIX: stored[MATRIX].half()}),
        f"{MATRIX} is of torch.float16, not int8",
    ),
    "a vector of whole numbers": (
        lambda stored: stored.update({"model.encoder.layers.0.fc1.bias": torch.ones(48, dtype=torch.int8)}),
        "fc1.bias is of torch.int8, not of floating point",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_tampered_int8_bundle_is_refused_by_its_tensors_name(tmp_path: Path, name: str) -> None:
    change, message = TAMPERINGS[name]
    with pytest.raises(BundleInvalid, match=message):
        load_model(tampered(tmp_path, change))


def test_a_format_is_never_guessed(tmp_path: Path) -> None:
    """int8 tensors are refused where the config does not speak of them, and halves where it does."""
    bundle = int8_bundle(tmp_path)
    stored = load_file(bundle.weights_path)
    unsaid = written(bundle, tmp_path / "unsaid", lambda path: write_weights(stored, path), Quantisation())
    with pytest.raises(BundleInvalid, match=r"\.weight is of torch\.int8, not of floating point as config\.json says"):
        load_model(unsaid)
    with pytest.raises(ValueError, match="not int8"):
        dequantised({"a.weight": torch.ones(2, 2)})


@pytest.mark.parametrize("how", ["garbage", "slow"])
def test_an_int8_bundle_can_be_spoilt(tmp_path: Path, how: str) -> None:
    bad = spoil(int8_bundle(tmp_path).folder, tmp_path / "bad", how)  # type: ignore[arg-type]
    assert load_model(bad).config == bad.architecture
