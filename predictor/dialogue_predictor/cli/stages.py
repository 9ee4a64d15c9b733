"""What commands of training and compression share: options from flags, processes, and how they talk. Heavy imports wait inside."""

import math
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from dialogue_predictor.cli.flags import DataParallel

if TYPE_CHECKING:
    from dialogue_predictor.training.observers import Observer
    from dialogue_predictor.training.ranks import Ranks


def stage_options(given: dict[str, Any]) -> dict[str, Any]:
    """What every stage is asked, as fields of StageOptions."""
    from dialogue_predictor.training.loop import LoopOptions
    from dialogue_predictor.training.machine import best_precision
    from dialogue_predictor.training.schedule import Schedule

    schedule = Schedule(
        max_steps=given["max_steps"],
        max_seconds=60 * given["max_minutes"] or math.inf,
        peak_rate=given["learning_rate"],
        warmup_steps=given["warmup_steps"],
        decay=given["decay"].value,
    )
    precision = given["precision"].value
    loop = LoopOptions(
        precision=best_precision(given["device"]) if precision == "auto" else precision,
        accumulate=given["accumulate"],
        clip_norm=given["clip_norm"],
        weight_decay=given["weight_decay"],
        validate_steps=given["validate_steps"],
        patience=given["patience"],
        checkpoint_seconds=given["checkpoint_seconds"],
    )
    sizes = ("d_model", "encoder_layers", "decoder_layers", "heads", "ffn", "max_positions", "shared_layers")
    model = {name: given[name] for name in sizes if given[name] is not None}
    if given["vocabulary"] is not None:
        model["vocab_size"] = given["vocabulary"]
    same = ("dropout", "batch_tokens", "examples_share", "simulated", "align_weight", "seed", "threads")
    return {"model": model, "schedule": schedule, "loop": loop} | {name: given[name] for name in same}


@contextmanager
def several_ranks(given: dict[str, Any], precision: str) -> "Iterator[tuple[Ranks, Observer]]":
    """This process among those of torchrun, and who watches it. Raises ValueError on flags that exclude each other."""
    from dialogue_predictor.training.machine import chosen_device
    from dialogue_predictor.training.observers import Silent
    from dialogue_predictor.training.parallel.opening import open_ranks

    kind, width = given["data_parallel"], given["tensor_parallel"]
    if precision == "fp16" and (kind == DataParallel.fsdp or width > 1):
        raise ValueError("--precision fp16 needs whole gradients: choose bf16 or fp32, or --data-parallel ddp")
    with open_ranks(chosen_device(given["device"]), kind and kind.value, width, precision == "bf16") as ranks:
        yield ranks, observer() if ranks.is_first else Silent()


def ranks_on(device: str) -> "Ranks":
    from dialogue_predictor.training.machine import chosen_device
    from dialogue_predictor.training.ranks import Alone

    return Alone(chosen_device(device))


def observer() -> "Observer":
    """A bar on a terminal, lines elsewhere."""
    from dialogue_predictor.training.observers import Bar, Lines

    return Bar() if sys.stdout.isatty() else Lines(typer.echo)


@contextmanager
def told() -> Iterator[None]:
    """What goes wrong in one sentence, and how to go on with what was interrupted; of several processes the first tells."""
    from dialogue_predictor.errors import DialogueError
    from dialogue_predictor.training.interrupts import Interrupted

    try:
        yield
    except (DialogueError, OSError, ValueError) as error:
        tell(f"error: {error}")
        raise typer.Exit(1) from error
    except Interrupted as error:
        resume = command(drop=("--resume",)) + " --resume"
        tell(f"{error}" + (f"; go on with: {resume}" if error.saved else ""))
        raise typer.Exit(130) from error


def tell(line: str) -> None:
    if os.environ.get("RANK", "0") == "0":
        typer.echo(line, err=True)


def command(drop: tuple[str, ...] = ()) -> str:
    """This very command line, without some flags."""
    started = ["dialogue"]
    if "LOCAL_WORLD_SIZE" in os.environ:
        started = ["torchrun", "--nproc-per-node", os.environ["LOCAL_WORLD_SIZE"], "-m", "dialogue_predictor.cli"]
    return shlex.join([*started, *(word for word in sys.argv[1:] if word not in drop)])
