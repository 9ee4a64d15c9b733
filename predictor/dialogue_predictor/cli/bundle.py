"""`dialogue bundle …`: make bundles, look at them, verify them, publish them. Only making and spoiling need torch."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from dialogue_predictor.errors import DialogueError

app = typer.Typer(help="Build, import, inspect, verify, publish and push model bundles.", no_args_is_help=True)

NameOption = Annotated[str, typer.Option(help="The model's name, as on its card.")]
VersionOption = Annotated[str, typer.Option(help="This version of it; a published one never changes.")]
SourceArgument = Annotated[str, typer.Argument(help="A folder, or builtin://default.")]

ArchiveArgument = Annotated[str, typer.Argument(help="A folder, a .tar, .tar.gz or .zip of one, or builtin://default.")]


@contextmanager
def folder_of(source: str) -> Iterator[Path]:
    """The folder that a source means; that of an archive is there only as long as the context."""
    from dialogue_predictor.artifacts.bundle import locate
    from dialogue_predictor.artifacts.safety import opened

    if Path(source).is_file():
        with opened(Path(source)) as folder:
            yield folder
    else:
        yield locate(source)


@contextmanager
def errors_told() -> Iterator[None]:
    """One line on stderr and exit code 1 instead of a traceback."""
    try:
        yield
    except (DialogueError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


@app.command()
def build(
    run: Annotated[Path, typer.Argument(help="Folder of a run that has ended.")],
    out: Annotated[Path, typer.Argument(help="The folder that becomes the bundle; it must be new.")],
    name: NameOption,
    version: VersionOption,
    weights: Annotated[Literal["fp16", "int8", "fp32"], typer.Option(help="How the weights are stored.")] = "fp16",
    compute: Annotated[Literal["fp32", "bf16", "int8"], typer.Option(help="How to compute with them.")] = "fp32",
    card: Annotated[Path | None, typer.Option(help="A finished card.md instead of one from the run's records.")] = None,
) -> None:
    """Make a bundle of a run's averaged weights; print its digest."""
    from dialogue_predictor.artifacts.build import build as make

    with errors_told():
        text = None if card is None else card.read_text(encoding="utf-8")
        typer.echo(make(run, out, name, version, weights, compute, text).digest)


@app.command("import")
def import_(
    checkpoint: Annotated[
        Path, typer.Argument(help="A folder that save_pretrained wrote, or a .tar, .tar.gz or .zip.")
    ],
    out: Annotated[Path, typer.Argument(help="The folder that becomes the bundle; it must be new.")],
    name: NameOption,
    version: VersionOption,
    weights: Annotated[Literal["fp16", "int8", "fp32"], typer.Option(help="How the weights are stored.")] = "fp32",
    source_language: Annotated[str | None, typer.Option(help="A multilingual model's code of what is asked.")] = None,
    target_language: Annotated[str | None, typer.Option(help="The code that every reply begins with.")] = None,
) -> None:
    """Make a bundle of a Hugging Face BART, mBART, Marian, Pegasus or Blenderbot checkpoint; print its digest."""
    from dialogue_predictor.artifacts.adopt import adopt
    from dialogue_predictor.artifacts.safety import opened

    with errors_told(), opened(checkpoint) as folder:
        typer.echo(adopt(folder, out, name, version, weights, source_language, target_language).digest)


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
        "quantisation": asdict(bundle.quantisation),
        "text": None if bundle.text is None else asdict(bundle.text),
        "bytes": {name: (bundle.folder / name).stat().st_size for name in CONTENT},
    }
    typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))


@app.command()
def verify(
    source: ArchiveArgument = "builtin://default",
    digest: Annotated[str | None, typer.Option(help="The digest it must have, sha256:….")] = None,
) -> None:
    """Check every byte against the digest; print the digest, or what is wrong and exit with 1."""
    from dialogue_predictor.artifacts.bundle import open_bundle

    with errors_told(), folder_of(source) as folder:
        typer.echo(open_bundle(folder, digest).digest)


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
def push(
    source: ArchiveArgument,
    destination: Annotated[str, typer.Argument(help="A folder, s3://BUCKET/PREFIX or oci:FOLDER[:TAG].")],
) -> None:
    """Push a bundle as NAME/VERSION to where others pull it from; a pushed version never changes.

    s3:// reads AWS_ENDPOINT_URL and the usual variables for credentials.
    """
    from dialogue_predictor.artifacts.bundle import open_bundle
    from dialogue_predictor.artifacts.push import push as run

    with errors_told(), folder_of(source) as folder:
        bundle = open_bundle(folder)
        pushed = run(bundle, destination)
        typer.echo(f"{pushed.where}{'' if pushed.fresh else ' is there already'}: {bundle.digest}")


@app.command()
def pull(
    source: Annotated[str, typer.Argument(help="s3://BUCKET/PREFIX/NAME/VERSION or oci:FOLDER:TAG.")],
    out: Annotated[Path, typer.Argument(help="The folder that becomes the bundle; it must be new.")],
) -> None:
    """Fetch a pushed bundle, verify it and put it in place whole; print its digest."""
    from dialogue_predictor.artifacts.push import pull as run

    with errors_told():
        typer.echo(run(source, out).digest)


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
