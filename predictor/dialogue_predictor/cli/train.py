"""`dialogue train …`: offline work on corpora. Heavy imports wait inside the commands, so that --help is quick."""

import math
import os
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Train models on dialogues and export them as bundles.", no_args_is_help=True)

DataOption = Annotated[Path, typer.Option(help="Folder of the corpora.", exists=True, file_okay=False)]
OutOption = Annotated[Path, typer.Option(help="Folder of the run.")]


@app.command()
def finetune(
    data: DataOption,
    out: OutOption,
    max_minutes: Annotated[float, typer.Option(help="Budget of wall-clock time; 0 for none.", min=0)] = 0,
    max_steps: Annotated[int, typer.Option(help="Budget of updates.", min=1)] = 20_000,
    batch_tokens: Annotated[int, typer.Option(help="Tokens of source and target in a batch.", min=64)] = 8192,
    learning_rate: Annotated[float, typer.Option(help="The highest rate.")] = 8e-4,
    bag_weight: Annotated[float, typer.Option(help="Weight of the bag-of-words loss; 0 for none.", min=0)] = 1.0,
    seed: Annotated[int, typer.Option(help="Decides split, mixture, start and batches.")] = 0,
    threads: Annotated[int, typer.Option(help="Threads of the machine to use.", min=1)] = 2,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint in --out.")] = False,
) -> None:
    """Train sequence to sequence on English and Chinese dialogues: history → reply."""
    # Read when torch is imported: threads that wait sleep, which on a machine with other work is twice as fast.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from dialogue_predictor.training.finetune import FinetuneOptions
    from dialogue_predictor.training.finetune import finetune as run
    from dialogue_predictor.training.loop import Schedule

    schedule = Schedule(
        max_steps=max_steps, max_seconds=60 * max_minutes if max_minutes else math.inf, peak_rate=learning_rate
    )
    options = FinetuneOptions(
        schedule=schedule, batch_tokens=batch_tokens, bag_weight=bag_weight, seed=seed, threads=threads
    )
    try:
        run(data, out, options, resume, report=typer.echo)
    except (FileExistsError, FileNotFoundError, ValueError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


@app.command()
def export(
    run: Annotated[Path, typer.Option(help="Folder of a run.", exists=True, file_okay=False)],
    out: Annotated[Path, typer.Option(help="The folder that becomes the bundle; it must be new.")],
    name: Annotated[str, typer.Option(help="Name of the model on its card.")] = "default",
    version: Annotated[str, typer.Option(help="Version of the bundle.")] = "1.0.0",
) -> None:
    """Make a bundle of a run's averaged weights; print its digest."""
    from dialogue_predictor.errors import DialogueError
    from dialogue_predictor.training.export import export as make

    try:
        typer.echo(make(run, out, name, version).digest)
    except (DialogueError, FileNotFoundError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


@app.command()
def quality(
    data: DataOption,
    bundle: Annotated[str, typer.Option(help="A bundle's folder or address.")] = "builtin://default",
    most: Annotated[int, typer.Option(help="Validation examples of each corpus.", min=1)] = 300,
) -> None:
    """What bf16 and int8 cost in replies: chrF beside fp32's on validation dialogues."""
    from dialogue_predictor.artifacts.bundle import locate, open_bundle
    from dialogue_predictor.errors import DialogueError
    from dialogue_predictor.training.quality import compare

    try:
        for row in compare(open_bundle(locate(bundle)), data, most):
            typer.echo(
                f"{row.corpus:10} {row.precision}  {row.examples} replies: chrF {row.chrf:5.2f}, "
                f"{row.same:.1%} word for word those of fp32"
            )
    except (DialogueError, FileNotFoundError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
