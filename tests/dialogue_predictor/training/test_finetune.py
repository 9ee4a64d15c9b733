"""Whole runs on a few dialogues: they learn, go on where they stopped, begin with what another learnt."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dialogue_predictor.evaluation.subject import open_subject
from dialogue_predictor.text.dialogue import Turn
from dialogue_predictor.text.tokenizer import Tokenizer
from dialogue_predictor.training.finetune import FinetuneOptions, finetune
from dialogue_predictor.training.interrupts import Interrupted
from dialogue_predictor.training.loop import LoopOptions
from dialogue_predictor.training.observers import Lines, Point, Silent
from dialogue_predictor.training.pretrain import PretrainOptions, pretrain
from dialogue_predictor.training.run import open_run
from dialogue_predictor.training.schedule import Progress, Schedule
from support.tiny_corpora import ENGLISH, write_corpora

TINY = {"vocab_size": 600, "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "heads": 2, "ffn": 64}
OPTIONS = FinetuneOptions(
    model=TINY,
    dropout=0.1,
    schedule=Schedule(max_steps=8, peak_rate=5e-3, warmup_steps=4),
    loop=LoopOptions(report_steps=1, checkpoint_seconds=0, average_decay=0.9, precision="bf16"),
    batch_tokens=256,
    epoch_examples=60,
    smoothing=0.0,
    threads=1,
)
PRETRAIN = PretrainOptions(
    model=TINY,
    schedule=OPTIONS.schedule,
    loop=replace(OPTIONS.loop, checkpoint_seconds=math.inf),
    batch_tokens=256,
    epoch_examples=60,
    threads=1,
)


class Stop(Silent):
    """A run that dies at its fifth step, before that is saved."""

    def measure(self, point: Point, progress: Progress, schedule: Schedule) -> None:
        if point.step == 5:
            raise Interrupted(5, saved=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpora(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def pretrained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pretrained") / "run"
    pretrain(data, folder, PRETRAIN, observer=Silent())
    return folder


def state_of(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoint" / "state.safetensors")


def test_the_loss_falls_and_the_run_can_be_opened_and_asked(data: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, dropout=0.0, schedule=Schedule(max_steps=220, peak_rate=8e-3, warmup_steps=10))
    options = replace(options, loop=replace(options.loop, checkpoint_seconds=math.inf, precision="fp32"))
    lines: list[str] = []
    outcome = finetune(data, tmp_path / "run", options, observer=Lines(lines.append))
    losses = [point.loss or 0.0 for point in outcome.history]
    assert losses[0] > 5.5  # about log 600: nothing is known yet
    assert sum(losses[-20:]) / 20 < 2.3
    run = open_run(tmp_path / "run")
    assert run.stage == "finetune"
    assert run.report["perplexity"]["en"] < 60
    assert run.options["smoothing"] == 0.0
    assert f"en {run.report['perplexity']['en']:.2f}" in lines[-1]
    assert list((tmp_path / "run/tensorboard").iterdir())
    [said] = open_subject(str(tmp_path / "run")).replies([[Turn("user", "Book a flight to Paris.")]])
    known = {word for _, answer in ENGLISH for word in answer.split()}
    assert len(known & set(said.text.split())) >= 2


def test_a_resumed_run_ends_with_the_very_same_bits(data: Path, tmp_path: Path) -> None:
    finetune(data, tmp_path / "whole", OPTIONS, observer=Silent())
    with pytest.raises(Interrupted):
        finetune(data, tmp_path / "cut", OPTIONS, observer=Stop())
    lines: list[str] = []
    finetune(data, tmp_path / "cut", OPTIONS, resume=True, observer=Lines(lines.append))
    assert "resuming at step 4" in lines
    whole, resumed = state_of(tmp_path / "whole"), state_of(tmp_path / "cut")
    assert whole.keys() == resumed.keys()
    assert [name for name, value in whole.items() if not torch.equal(value, resumed[name])] == []
    reports = [json.loads((tmp_path / name / "report.json").read_text()) for name in ("whole", "cut")]
    curves = [[(point["step"], point["loss"]) for point in report["history"]] for report in reports]
    assert curves[0] == curves[1]


def test_an_old_run_is_not_overwritten_by_a_new_one(data: Path, tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoint").mkdir(parents=True)
    with pytest.raises(FileExistsError, match="holds a run already: go on with it by --resume"):
        finetune(data, tmp_path / "run", OPTIONS)


def test_a_run_is_not_resumed_with_other_batches_or_shapes(data: Path, tmp_path: Path) -> None:
    finetune(data, tmp_path / "run", OPTIONS, observer=Silent())
    for changed, name in (
        (replace(OPTIONS, seed=1), "seed=0, not 1"),
        (replace(OPTIONS, model=TINY | {"ffn": 48}), r"model\.ffn=64, not 48"),
        (replace(OPTIONS, copy=False), r"model\.copy=True, not None"),
    ):
        with pytest.raises(ValueError, match=name):
            finetune(data, tmp_path / "run", changed, resume=True, observer=Silent())


def test_no_corpora_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no corpus under"):
        finetune(tmp_path, tmp_path / "run", OPTIONS)


@pytest.mark.parametrize("copy", [True, False])
def test_finetuning_begins_with_what_pretraining_learnt(
    data: Path, pretrained: Path, tmp_path: Path, copy: bool
) -> None:
    frozen = Schedule(max_steps=1, peak_rate=1e-12, final_rate=0)
    options = replace(OPTIONS, model={}, copy=copy, schedule=frozen)
    finetune(data, tmp_path / "run", options, start=pretrained, observer=Silent())
    before, after = open_run(pretrained).weights, open_run(tmp_path / "run").weights
    assert {name for name in after if name not in before} == {name for name in after if ".copy." in name}
    assert bool([name for name in after if ".copy." in name]) == copy
    for name, value in before.items():
        torch.testing.assert_close(after[name], value)
    same = [
        Tokenizer.load(folder / "tokenizer.json").encode("Book a flight.") for folder in (pretrained, tmp_path / "run")
    ]
    assert same[0] == same[1]


def test_a_start_of_another_shape_is_refused_by_its_flag(data: Path, pretrained: Path, tmp_path: Path) -> None:
    for model, said in (
        ({"d_model": 48}, "--d-model 48: .* has d_model=32; leave the flag out"),
        ({"vocab_size": 700}, "--vocabulary 700: .* has vocab_size="),
    ):
        with pytest.raises(ValueError, match=said):
            finetune(data, tmp_path / "run", replace(OPTIONS, model=model), start=pretrained, observer=Silent())
    assert not (tmp_path / "run").exists()


def test_a_start_that_is_no_run_or_has_not_ended_is_said_to_be_so(data: Path, pretrained: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is no run: it has no run\.json"):
        finetune(data, tmp_path / "run", OPTIONS, start=tmp_path)
    with pytest.raises(Interrupted):
        finetune(data, tmp_path / "cut", OPTIONS, observer=Stop())
    with pytest.raises(ValueError, match=r"no model\.safetensors: the run has not ended, go on with it by --resume"):
        finetune(data, tmp_path / "run", OPTIONS, start=tmp_path / "cut")


def test_a_share_of_the_examples_is_of_every_corpus_and_changes_no_tokenizer(data: Path, tmp_path: Path) -> None:
    runs = {}
    for share in (1.0, 0.1):
        folder = tmp_path / str(share)
        finetune(data, folder, replace(OPTIONS, examples_share=share, epoch_examples=40), observer=Silent())
        runs[share] = open_run(folder)
    texts = [run.tokenizer.read_bytes() for run in runs.values()]
    assert texts[0] == texts[1]
    assert runs[1.0].report["validation_loss"] != runs[0.1].report["validation_loss"]
    with pytest.raises(ValueError, match=r"--examples-share must lie in \(0, 1\], got 0"):
        replace(OPTIONS, examples_share=0)
