"""Hyper-parameter search: short runs of the same recipe, the most promising settings next (Optuna, arXiv:1907.10902)."""

import math
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dialogue_predictor.training.finetune import FinetuneOptions, finetune
from dialogue_predictor.training.observers import Silent
from dialogue_predictor.training.ranks import Ranks
from dialogue_predictor.training.schedule import Schedule

if TYPE_CHECKING:
    import optuna

STUDY = "trials.journal"


def tune(
    data: Path,
    out: Path,
    options: FinetuneOptions,
    start: Path | None,
    trials: int,
    ranks: Ranks,
    report: Callable[[str], None],
) -> str:
    """Run up to `trials` trials, those of an earlier search in `out` included; returns the best one's flags.

    Every trial has the whole schedule of `options`, so give a short one. A trial that fails to learn counts as the worst.
    The search is kept in a file of `out`, so that one that was cut off goes on.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    out.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(out / STUDY))),
        study_name="finetune",
        load_if_exists=True,
    )
    # A sampler draws anew from its seed: one that goes on must not try the first settings again.
    study.sampler = optuna.samplers.TPESampler(seed=options.seed * 10_007 + len(study.trials))
    done = len(study.get_trials(states=[optuna.trial.TrialState.COMPLETE]))
    if done:
        report(f"{done} trials were made already")

    def objective(trial: "optuna.Trial") -> float:
        chosen = suggested(trial, options)
        folder = out / f"trial-{trial.number}"
        try:
            outcome = finetune(data, folder, chosen, start, resume=True, ranks=ranks, observer=Silent())
        except ValueError as error:
            report(f"trial {trial.number}: {error}")
            return float("inf")
        loss = outcome.report["validation_loss"]
        report(f"trial {trial.number}: validation loss {loss:.4f} with {flags(chosen)}")
        return float(loss)

    study.optimize(objective, n_trials=max(0, trials - done))
    if not math.isfinite(study.best_value):
        raise ValueError("no trial learnt anything: search with more --max-steps")
    return flags(suggested(study.best_trial, options))


def suggested(trial: "optuna.Trial | optuna.trial.FrozenTrial", options: FinetuneOptions) -> FinetuneOptions:
    """The options with the trial's choices."""
    rate = trial.suggest_float("learning_rate", 1e-4, 4e-3, log=True)
    steps = options.schedule.max_steps
    warmup = trial.suggest_int("warmup_steps", max(1, min(10, steps // 10)), max(1, steps // 2), log=True)
    smoothing = trial.suggest_float("smoothing", 0.0, 0.2, step=0.05)
    dropout = trial.suggest_float("dropout", 0.0, 0.3, step=0.05)
    schedule: Schedule = replace(options.schedule, peak_rate=float(f"{rate:.2e}"), warmup_steps=warmup)
    return replace(options, schedule=schedule, smoothing=round(smoothing, 2), dropout=round(dropout, 2))


def flags(options: FinetuneOptions) -> str:
    """What `dialogue train finetune` is to be told."""
    values = {
        "--learning-rate": options.schedule.peak_rate,
        "--warmup-steps": options.schedule.warmup_steps,
        "--smoothing": options.smoothing,
        "--dropout": options.dropout,
    }
    return shlex.join(str(word) for pair in values.items() for word in pair)
