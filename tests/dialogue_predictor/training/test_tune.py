"""The search: it goes on where it stopped, and its best flags are a command's."""

from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from dialogue_predictor.training.finetune import FinetuneOptions
from dialogue_predictor.training.loop import LoopOptions
from dialogue_predictor.training.ranks import Alone
from dialogue_predictor.training.schedule import Schedule
from dialogue_predictor.training.tune import flags, suggested, tune
from support.tiny_corpora import write_corpora

OPTIONS = FinetuneOptions(
    model={"vocab_size": 400, "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "heads": 2, "ffn": 16},
    schedule=Schedule(max_steps=6, warmup_steps=1),
    loop=LoopOptions(precision="fp32", checkpoint_seconds=999),
    batch_tokens=256,
    epoch_examples=60,
    perplexity_examples=4,
    threads=1,
)


def test_a_search_goes_on_where_it_stopped_and_names_the_best(tmp_path: Path) -> None:
    data, lines = write_corpora(tmp_path / "data"), list[str]()
    tune(data, tmp_path / "search", OPTIONS, None, 1, Alone(), lines.append)
    best = tune(data, tmp_path / "search", OPTIONS, None, 3, Alone(), lines.append)
    assert "1 trials were made already" in lines
    trials = [line.split(" validation loss ")[1].split(" with ") for line in lines if line.startswith("trial")]
    assert len(trials) == 3
    assert min(trials, key=lambda trial: float(trial[0]))[1] == best
    assert len({told for _, told in trials}) == 3
    assert best.split()[::2] == ["--learning-rate", "--warmup-steps", "--smoothing", "--dropout"]


@pytest.mark.parametrize("steps", [1, 5, 500])
def test_warm_up_fits_into_a_trial(steps: int) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    options = replace(OPTIONS, schedule=Schedule(max_steps=steps))
    for _ in range(5):
        chosen = suggested(study.ask(), options)
        assert 1 <= chosen.schedule.warmup_steps <= max(1, steps // 2)
        assert 0 <= chosen.smoothing <= 0.2
        assert f"--dropout {chosen.dropout}" in flags(chosen)
