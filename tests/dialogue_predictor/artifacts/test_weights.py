"""Weights on disk: what is loaded, and what is refused."""

from pathlib import Path

import pytest
import torch

from dialogue_predictor.artifacts.publish import write_bundle
from dialogue_predictor.artifacts.weights import load_model, load_weights, write_weights
from dialogue_predictor.errors import BundleInvalid
from support.tiny_bundles import tiny_bundle


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_weight_that_is_no_number_is_refused_by_its_name(tmp_path: Path, value: float) -> None:
    sound = tiny_bundle(tmp_path / "sound")
    weights = load_weights(sound)
    weights["model.decoder.layers.1.fc2.bias"][3] = value
    broken = write_bundle(
        tmp_path / "broken", "tiny", "2", sound.architecture, sound.tokenizer_path,
        lambda path: write_weights(weights, path), "# Broken\n",
    )  # fmt: skip
    with pytest.raises(BundleInvalid, match=r"model\.decoder\.layers\.1\.fc2\.bias has values that are not finite"):
        load_model(broken)


def test_tensors_keep_the_precision_they_are_written_in(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    write_weights({"a": torch.ones(2, dtype=torch.float16), "b": torch.full((2,), 1e30)}, path)
    from safetensors.torch import load_file

    assert {name: value.dtype for name, value in load_file(path).items()} == {"a": torch.float16, "b": torch.float32}
