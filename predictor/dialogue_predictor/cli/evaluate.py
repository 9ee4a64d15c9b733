"""`dialogue evaluate …`: how good a model is, beside plain baselines. Heavy imports wait inside the commands."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

app = typer.Typer(help="Measure models beside plain baselines and beside each other.", invoke_without_command=True)

Precision = Annotated[
    str | None, typer.Option(help="fp32, bf16 or int8; else what the bundle recommends, fp32 for a run.")
]


@app.callback()
def evaluate(
    context: typer.Context,
    data: Annotated[
        Path | None, typer.Option(help="Folder of the corpora. Needed.", exists=True, file_okay=False)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for report.json, report.md and report.html. Needed.")] = None,
    bundle: Annotated[str, typer.Option(help="A bundle's folder or address, or a run's folder.")] = "builtin://default",
    against: Annotated[str | None, typer.Option(help="A teacher to compare with: a bundle or a run.")] = None,
    classifier: Annotated[
        Path | None, typer.Option(help="A run of `dialogue train classify`.", exists=True, file_okay=False)
    ] = None,
    most: Annotated[int, typer.Option(help="Validation replies of each corpus.", min=1)] = 1000,
    only: Annotated[str, typer.Option(help="Parts, with commas between them; all without.")] = "",
    facts: Annotated[bool, typer.Option(help="Give the model what was known when a reply was written.")] = True,
    precision: Precision = None,
    seed: Annotated[int, typer.Option(help="Decides which replies, and all noise.")] = 0,
    threads: Annotated[int, typer.Option(help="Threads of the machine to use.", min=1)] = 2,
) -> None:
    """Write one report of a model: replies, perplexity, vectors, intents, off-topic questions, noise, formats, speed."""
    if context.invoked_subcommand is not None:
        return
    if data is None or out is None:
        fail("--data and --out are needed: dialogue evaluate --bundle BUNDLE --data DATA --out FOLDER")
    if precision not in (None, "fp32", "bf16", "int8"):
        fail(f"--precision must be fp32, bf16 or int8, got {precision!r}")
    import torch

    from dialogue_predictor.errors import DialogueError
    from dialogue_predictor.evaluation.cases import open_corpora
    from dialogue_predictor.evaluation.evaluate import check_parts, write_reports
    from dialogue_predictor.evaluation.evaluate import evaluate as measure
    from dialogue_predictor.evaluation.report import MODEL, TEACHER
    from dialogue_predictor.evaluation.setting import Setting
    from dialogue_predictor.evaluation.subject import open_subject

    torch.set_num_threads(threads)
    parts = [name.strip() for name in only.split(",") if name.strip()]
    try:
        check_parts(parts)
        subjects = {MODEL: open_subject(bundle, precision)}  # type: ignore[arg-type]
        if against is not None:
            subjects[TEACHER] = open_subject(against, precision)  # type: ignore[arg-type]
        setting = Setting(open_corpora(data, seed, most, facts), subjects, classifier)
        report = measure(setting, parts, tell=typer.echo)
        for path in write_reports(report, out):
            typer.echo(str(path))
    except (DialogueError, OSError, ValueError) as error:
        fail(str(error))


@app.command()
def ablation(
    runs: Annotated[list[Path], typer.Argument(help="Folders of evaluations, or runs with one in `evaluation`.")],
    every: Annotated[bool, typer.Option("--all", help="Every figure, not the headlines alone.")] = False,
) -> None:
    """Print the figures of several reports beside each other, as a table in Markdown."""
    from dialogue_predictor.evaluation.ablation import ablation as table

    try:
        typer.echo(table(runs, every))
    except (OSError, ValueError) as error:
        fail(str(error))


@app.command()
def precision(
    data: Annotated[Path, typer.Option(help="Folder of the corpora.", exists=True, file_okay=False)],
    bundle: Annotated[str, typer.Option(help="A bundle's folder or address, or a run's folder.")] = "builtin://default",
    most: Annotated[int, typer.Option(help="Validation replies of each corpus.", min=1)] = 300,
) -> None:
    """What bf16 and int8 cost in replies: chrF beside fp32's on validation dialogues."""
    from dialogue_predictor.errors import DialogueError
    from dialogue_predictor.evaluation.cases import open_corpora
    from dialogue_predictor.evaluation.parts.precision import precision as measure
    from dialogue_predictor.evaluation.report import MODEL
    from dialogue_predictor.evaluation.setting import Setting
    from dialogue_predictor.evaluation.subject import open_subject

    try:
        for figure in measure(Setting(open_corpora(data, 0, most), {MODEL: open_subject(bundle)})):
            typer.echo(f"{figure.data:16} {figure.metric:12} {figure.value:6.2f}{figure.unit}  ({figure.of} replies)")
    except (DialogueError, OSError, ValueError) as error:
        fail(str(error))


def fail(message: str) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(1)
