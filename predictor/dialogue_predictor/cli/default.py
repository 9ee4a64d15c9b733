"""`dialogue train default`: the recipe of the default bundles. Heavy imports wait inside."""

from pathlib import Path
from typing import Annotated

import typer

from dialogue_predictor.cli.train import Data, Seed, Threads


def default(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder of all runs and both bundles.", file_okay=False)],
    minutes: Annotated[float, typer.Option(help="Of training in all, without reading and evaluating.", min=0.1)] = 240,
    plan: Annotated[bool, typer.Option(help="Print the commands and do nothing.")] = False,
    seed: Seed = 0,
    threads: Threads = 2,
) -> None:
    """Make both versions of the default bundle: pretrain, finetune, distil, quantise, evaluate, build."""
    from dialogue_predictor.recipe.chain import Sizes, chain

    sizes = Sizes(minutes=minutes)
    if plan:
        for step in chain(data, out, sizes, threads, seed):
            typer.echo(f"dialogue {' '.join(step.words)}")
        return
    from dialogue_predictor.errors import DialogueError
    from dialogue_predictor.recipe.run import StepFailed, train_default

    try:
        train_default(data, out, sizes, threads, seed, typer.echo)
    except StepFailed as failed:
        typer.echo(f"error: {failed}", err=True)
        raise typer.Exit(failed.code if failed.code > 0 else 1) from failed
    except (DialogueError, OSError, ValueError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
