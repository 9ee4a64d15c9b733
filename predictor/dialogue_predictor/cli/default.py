"""`dialogue train default` and `ablation`: the recipe of the default bundles, and what is in it. Heavy imports wait inside."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dialogue_predictor.cli.flags import Data, Seed, Threads

if TYPE_CHECKING:
    from dialogue_predictor.recipe.chain import Step

Plan = Annotated[bool, typer.Option(help="Print the commands and do nothing.")]


def default(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder of all runs and both bundles.", file_okay=False)],
    minutes: Annotated[float, typer.Option(help="Of training in all, without reading and evaluating.", min=0.1)] = 150,
    plan: Plan = False,
    seed: Seed = 0,
    threads: Threads = 2,
) -> None:
    """Make both versions of the default bundle: pretrain, finetune, distil, quantise, evaluate, build."""
    from dialogue_predictor.recipe.chain import Sizes, chain
    from dialogue_predictor.recipe.run import train_default

    sizes = Sizes(minutes=minutes)
    if plan:
        show(chain(data, out, sizes, threads, seed))
        return
    with told():
        train_default(data, out, sizes, threads, seed, typer.echo)


def ablation(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder of all runs.", file_okay=False)],
    minutes: Annotated[float, typer.Option(help="Of training in all, without reading and evaluating.", min=0.1)] = 24,
    plan: Plan = False,
    seed: Seed = 0,
    threads: Threads = 2,
) -> None:
    """Train the student's shape without pretraining, masked only, without the copy head, and print what each is worth."""
    from dialogue_predictor.recipe.ablation import FINETUNED, PRETRAINED, Little
    from dialogue_predictor.recipe.ablation import ablation as steps_of
    from dialogue_predictor.recipe.chain import Sizes
    from dialogue_predictor.recipe.run import carry_out_all

    steps = steps_of(data, out, Sizes(), Little(minutes=minutes), threads, seed)
    if plan:
        show(steps)
        return
    with told():
        from dialogue_predictor.evaluation.ablation import ablation as table

        carry_out_all(steps, out, typer.echo)
        typer.echo(table([out / name for name in (*PRETRAINED, *FINETUNED)], every=False))


def show(steps: "Sequence[Step]") -> None:
    for step in steps:
        typer.echo(f"dialogue {' '.join(step.words)}")


@contextmanager
def told() -> Iterator[None]:
    """Say in one line what is wrong."""
    from dialogue_predictor.errors import DialogueError
    from dialogue_predictor.recipe.run import StepFailed

    try:
        yield
    except StepFailed as failed:
        typer.echo(f"error: {failed}", err=True)
        raise typer.Exit(failed.code if failed.code > 0 else 1) from failed
    except (DialogueError, OSError, ValueError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
