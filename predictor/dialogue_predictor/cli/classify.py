"""`dialogue train classify`: an intent classifier on a trained encoder. Heavy imports wait inside."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from dialogue_predictor.cli.flags import (
    Data,
    Device,
    Dropout,
    LearningRate,
    Minutes,
    Out,
    Precision,
    PrecisionOption,
    Resume,
    Seed,
    Steps,
    Threads,
    ValidateSteps,
)
from dialogue_predictor.cli.stages import observer, ranks_on, told
from dialogue_predictor.training.process import settle


def classify(
    data: Data,
    start: Annotated[Path, typer.Option(help="A run or a bundle whose encoder is trained on.", exists=True)],
    out: Out,
    resume: Resume = False,
    max_minutes: Minutes = 0,
    max_steps: Steps = 3000,
    learning_rate: LearningRate = 5e-4,
    dropout: Dropout = 0.1,
    precision: PrecisionOption = Precision.auto,
    patience: Annotated[int, typer.Option(help="Stop after so many validations without gain.", min=1)] = 4,
    validate_steps: ValidateSteps = 200,
    seed: Seed = 0,
    threads: Threads = 2,
    device: Device = "auto",
) -> None:
    """Train a classifier of what users want, on the encoder of a run or a bundle."""
    settle()
    with told():
        from dialogue_predictor.training.classify import ClassifyOptions
        from dialogue_predictor.training.classify import classify as run
        from dialogue_predictor.training.loop import LoopOptions
        from dialogue_predictor.training.machine import best_precision
        from dialogue_predictor.training.schedule import Schedule

        seconds = 60 * max_minutes or math.inf
        schedule = Schedule(max_steps=max_steps, max_seconds=seconds, peak_rate=learning_rate, warmup_steps=100)
        computed: Any = best_precision(device) if precision is Precision.auto else precision.value
        loop = LoopOptions(precision=computed, validate_steps=validate_steps, patience=patience)
        options = ClassifyOptions(schedule=schedule, loop=loop, dropout=dropout, seed=seed, threads=threads)
        run(data, out, options, start, resume, ranks_on(device), observer())
