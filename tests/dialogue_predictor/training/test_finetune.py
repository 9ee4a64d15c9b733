"""A whole run on a few dialogues: it learns, it goes on where it stopped, it becomes a bundle."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dialogue_predictor.artifacts.bundle import open_bundle
from dialogue_predictor.artifacts.weights import load_model
from dialogue_predictor.text.dialogue import Turn
from dialogue_predictor.text.tokenizer import Tokenizer
from dialogue_predictor.training.evaluate import greedy_reply
from dialogue_predictor.training.examples import Limits
from dialogue_predictor.training.export import export
from dialogue_predictor.training.finetune import FinetuneOptions, finetune, small_bilingual
from dialogue_predictor.training.loop import LoopOptions, Schedule
from support.tiny_corpora import ENGLISH, write_corpora

TINY = replace(small_bilingual(600), d_model=32, encoder_layers=1, decoder_layers=1, heads=2, ffn=64, dropout=0.1)
OPTIONS = FinetuneOptions(
    model=TINY,
    schedule=Schedule(max_steps=8, peak_rate=5e-3, warmup_steps=4),
    loop=LoopOptions(report_steps=1, checkpoint_seconds=0, average_decay=0.9),
    batch_tokens=256,
    epoch_examples=60,
    smoothing=0.0,
    threads=1,
)


class Interrupted(Exception):
    pass


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpora(tmp_path_factory.mktemp("data"))


def state_of(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoint" / "state.safetensors")


def losses(lines: list[str]) -> list[float]:
    return [float(line.split("loss")[1].split()[0]) for line in lines if line.startswith("step")]


def test_the_loss_falls_and_the_bundle_says_what_was_learnt(data: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    options = replace(OPTIONS, schedule=Schedule(max_steps=220, peak_rate=8e-3, warmup_steps=10))
    options = replace(options, loop=replace(options.loop, checkpoint_seconds=math.inf, bf16=False))
    measured = finetune(data, tmp_path / "run", options, report=lines.append)
    assert losses(lines)[0] > 5.5  # about log 600: nothing is known yet
    assert sum(losses(lines)[-20:]) / 20 < 2.3
    assert measured["en"] < 60
    bundle = export(tmp_path / "run", tmp_path / "bundle", "tiny", "0.1.0")
    assert open_bundle(bundle.folder, bundle.digest).version == "0.1.0"
    card = (bundle.folder / "card.md").read_text()
    assert "CC BY-SA 4.0" in card
    assert f"| English | {measured['en']:.2f} |" in card
    model, tokenizer = load_model(bundle), Tokenizer.load(bundle.tokenizer_path)
    reply = greedy_reply(model, tokenizer, [Turn("user", "Book a flight to Paris.")], Limits())
    known = {word for _, answer in ENGLISH for word in answer.split()}
    assert len(known & set(reply.split())) >= 2


def test_a_resumed_run_ends_with_the_very_same_bits(data: Path, tmp_path: Path) -> None:
    finetune(data, tmp_path / "whole", OPTIONS, report=lambda line: None)

    def stop_at_five(line: str) -> None:
        if line.startswith("step      5"):
            raise Interrupted

    with pytest.raises(Interrupted):
        finetune(data, tmp_path / "cut", OPTIONS, report=stop_at_five)
    lines: list[str] = []
    finetune(data, tmp_path / "cut", OPTIONS, resume=True, report=lines.append)
    assert lines[0] == "resuming at step 4"
    whole, resumed = state_of(tmp_path / "whole"), state_of(tmp_path / "cut")
    assert whole.keys() == resumed.keys()
    assert [name for name, value in whole.items() if not torch.equal(value, resumed[name])] == []


def test_an_old_run_is_not_overwritten_by_a_new_one(data: Path, tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoint").mkdir(parents=True)
    with pytest.raises(FileExistsError, match="resume it or choose another folder"):
        finetune(data, tmp_path / "run", OPTIONS)


def test_a_run_is_not_resumed_with_other_batches(data: Path, tmp_path: Path) -> None:
    finetune(data, tmp_path / "run", OPTIONS, report=lambda line: None)
    with pytest.raises(ValueError, match="seed=0, not 1"):
        finetune(data, tmp_path / "run", replace(OPTIONS, seed=1), resume=True, report=lambda line: None)


def test_no_corpora_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no corpus under"):
        finetune(tmp_path, tmp_path / "run", OPTIONS)
