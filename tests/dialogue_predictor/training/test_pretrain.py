"""SimMIM runs on a few dialogues, and what they leave behind."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dialogue_predictor.training.loop import LoopOptions
from dialogue_predictor.training.observers import Silent
from dialogue_predictor.training.pretrain import PretrainOptions, pretrain
from dialogue_predictor.training.run import load_start, open_run
from dialogue_predictor.training.schedule import Schedule
from support.tiny_corpora import write_corpora

TINY = {"vocab_size": 600, "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "heads": 2, "ffn": 64}
OPTIONS = PretrainOptions(
    model=TINY,
    schedule=Schedule(max_steps=60, peak_rate=8e-3, warmup_steps=4),
    loop=LoopOptions(report_steps=5, validate_steps=20, checkpoint_seconds=math.inf, precision="fp32"),
    batch_tokens=256,
    epoch_examples=60,
    threads=1,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpora(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("contrast_weight", [0.0, 1.0])
def test_the_loss_behind_the_masks_falls(data: Path, tmp_path: Path, contrast_weight: float) -> None:
    options = replace(OPTIONS, contrast_weight=contrast_weight)
    outcome = pretrain(data, tmp_path / "run", options, observer=Silent())
    held_out = [point.validation for point in outcome.history if point.validation is not None]
    assert held_out[-1] < held_out[0]
    assert held_out[-1] < math.log(TINY["vocab_size"]) - 1, "a guess among all tokens is a whole nat worse"
    run = open_run(tmp_path / "run")
    assert {name.split(".")[0] for name in run.heads} == {"masked_head", "siamese_head"}
    model, _ = load_start(tmp_path / "run")
    assert all(bool(value.isfinite().all()) for value in model.state_dict().values())


def test_only_what_the_loss_uses_is_trained(data: Path, tmp_path: Path) -> None:
    short, long = (replace(OPTIONS, schedule=replace(OPTIONS.schedule, max_steps=steps)) for steps in (1, 4))
    for name, options in (("short", short), ("long", long)):
        pretrain(data, tmp_path / name, options, observer=Silent())
    before, after = (open_run(tmp_path / name).weights for name in ("short", "long"))
    moved = {name.split(".")[1] for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved == {"shared", "encoder"}


def test_pretraining_goes_on_from_another_run(data: Path, tmp_path: Path) -> None:
    pretrain(data, tmp_path / "first", OPTIONS, observer=Silent())
    still = replace(OPTIONS, model={}, schedule=Schedule(max_steps=1, peak_rate=1e-12, final_rate=0))
    outcome = pretrain(data, tmp_path / "second", still, start=tmp_path / "first", observer=Silent())
    first = open_run(tmp_path / "first").report["history"][0]["loss"]
    assert outcome.history[-1].validation is not None
    assert outcome.history[-1].validation < first
