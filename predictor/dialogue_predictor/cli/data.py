"""`dialogue data …`: what to train on. Heavy imports wait inside the commands, so that --help is quick."""

from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(help="Read, check and split dialogues to train on.", no_args_is_help=True)


@app.callback()
def data() -> None:
    """Read, check and split dialogues to train on."""


@app.command()
def prepare(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="JSONL or CSV of dialogues, plain or gzip.", exists=True, dir_okay=False, show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the corpus; it must be new or empty.", file_okay=False)],
    validation_share: Annotated[
        float, typer.Option(help="Share of the dialogues to validate on.", min=0, max=0.9)
    ] = 0.1,
    seed: Annotated[int, typer.Option(help="Decides the split, with a dialogue's id.")] = 0,
    language: Annotated[
        Literal["en", "zh"] | None, typer.Option(help="Of dialogues that name none; else told by script.")
    ] = None,
    max_errors: Annotated[int, typer.Option(help="Malformed records to leave out before giving up.", min=0)] = 100,
    drop_personal: Annotated[bool, typer.Option(help="Leave out dialogues with personal data.")] = False,
    vectors: Annotated[
        str, typer.Option(help="Bundle whose encoder tells topics: a folder or address.")
    ] = "builtin://default",
) -> None:
    """Read dialogues, split them and report what is in them: lengths, languages, duplicates, leaks, personal data, topics."""
    from dialogue_predictor.errors import DialogueError
    from dialogue_predictor.training.data.prepare import PrepareOptions
    from dialogue_predictor.training.data.prepare import prepare as run

    options = PrepareOptions(validation_share, seed, language, max_errors, drop_personal, vectors)
    try:
        report = run(files, out, options)
    except (DialogueError, OSError, ValueError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        typer.echo(f"error: interrupted; nothing was left in {out}; run it again", err=True)
        raise typer.Exit(130) from None
    typer.echo((out / "report.md").read_text(encoding="utf-8"))
    if report["malformed"]["records"]:  # type: ignore[index]
        typer.echo(f"{report['malformed']['records']} malformed records were left out", err=True)  # type: ignore[index]
