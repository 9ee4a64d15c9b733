"""`dialogue bundle …`: look at bundles, verify them, publish them. Only `spoil` needs torch."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from dialogue_predictor.errors import DialogueError

app = typer.Typer(help="Inspect, verify, publish and spoil model bundles.", no_args_is_help=True)

SourceArgument = Annotated[str, typer.Argument(help="A folder, or builtin://default.")]


@contextmanager
def errors_told() -> Iterator[None]:
    """One line on stderr and exit code 1 instead of a traceback."""
    try:
        yield
    except (DialogueError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


@app.command()
def inspect(source: SourceArgument = "builtin://default") -> None:
    """Print what a bundle is: name, version, digest, architecture, sizes."""
    from dialogue_predictor.artifacts.bundle import CONTENT, locate, open_bundle

    with errors_told():
        bundle = open_bundle(locate(source))
    facts = {
        "name": bundle.name,
        "version": bundle.version,
        "digest": bundle.digest,
        "architecture": bundle.architecture.to_dict(),
        "bytes": {name: (bundle.folder / name).stat().st_size for name in CONTENT},
    }
    typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))


@app.command()
def verify(
    source: SourceArgument = "builtin://default",
    digest: Annotated[str | None, typer.Option(help="The digest it must have, sha256:….")] = None,
) -> None:
    """Check every byte against the digest; print the digest, or what is wrong and exit with 1."""
    from dialogue_predictor.artifacts.bundle import locate, open_bundle

    with errors_told():
        typer.echo(open_bundle(locate(source), digest).digest)


@app.command()
def publish(
    source: SourceArgument,
    destination: Annotated[Path, typer.Argument(help="The folder that becomes this version; it must be new.")],
    version: Annotated[str | None, typer.Option(help="Record another version than the source's.")] = None,
) -> None:
    """Copy a bundle into an immutable folder, whole or not at all; print its digest."""
    from dialogue_predictor.artifacts.bundle import locate
    from dialogue_predictor.artifacts.publish import publish as run

    with errors_told():
        typer.echo(run(locate(source), destination, version).digest)


@app.command()
def spoil(
    source: SourceArgument,
    target: Annotated[Path, typer.Argument(help="The folder that becomes the bad copy; it must be new.")],
    how: Annotated[Literal["garbage", "slow", "erroring"], typer.Option(help="What is bad about it.")],
) -> None:
    """Publish a copy that is bad on purpose, to rehearse a rollback; print its digest.

    garbage: replies without sense. slow: the same replies, several times slower. erroring: a good part of ordinary
    questions fail.
    """
    from dialogue_predictor.artifacts.bundle import locate
    from dialogue_predictor.artifacts.spoil import spoil as run

    with errors_told():
        typer.echo(run(locate(source), target, how).digest)
