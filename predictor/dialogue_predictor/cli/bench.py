"""`dialogue bench …`: measure what is served beside what others would serve it with."""

import os
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Measure on this machine.", no_args_is_help=True)

NEEDED = ("torch", "transformers", "ctranslate2")
PAGE = Path("docs/benchmarks.md")


@app.callback()
def bench() -> None:
    """Measure on this machine."""


@app.command()
def decoding(
    quick: Annotated[bool, typer.Option("--quick", help="The most important rows, within three minutes.")] = False,
    write: Annotated[bool, typer.Option(help="Put the result into the page.")] = True,
    page: Annotated[Path, typer.Option(help="The page, in Markdown, with marks for this section.")] = PAGE,
    rounds: Annotated[
        int | None, typer.Option(help="Undisturbed samples of each engine; 5, or 3 with --quick.", min=1)
    ] = None,
    work: Annotated[
        Path | None, typer.Option(help="Folder for models and logs; ~/.cache/dialogue-serving/bench.")
    ] = None,
) -> None:
    """Beam search beside Hugging Face, CTranslate2 and ONNX Runtime; exit code 1 where a floor is missed."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        refuse(f"{', '.join(missing)}: not installed; run pip install 'dialogue-serving[predictor,bench]'")
    from dialogue_predictor.bench.decoding import Plan, run
    from dialogue_predictor.bench.machine import cores
    from dialogue_predictor.bench.page import replaced
    from dialogue_predictor.bench.processes import BenchFailed

    try:
        text = page.read_text(encoding="utf-8") if write else ""
        if write:
            replaced(text, "")
    except (OSError, ValueError) as error:
        refuse(f"--page {page}: {error}; name another one, or use --no-write")
    folder = work or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dialogue-serving" / "bench"
    began = time.monotonic()
    try:
        result = run(Plan.of(folder, quick, rounds, cores()), typer.echo)
    except (BenchFailed, OSError) as error:
        refuse(str(error))
    section = result.section(f"make bench-decoding{' ARGS=--quick' if quick else ''}", time.monotonic() - began)
    typer.echo(f"\n{section}")
    if write:
        page.write_text(replaced(text, section), encoding="utf-8")
    raise typer.Exit(int(result.failed))


@app.command()
def training(
    rounds: Annotated[int, typer.Option(help="Processes of each loop, by turns.", min=1)] = 3,
    steps: Annotated[int, typer.Option(help="Updates in each.", min=10)] = 40,
    threads: Annotated[int, typer.Option(help="Threads of each.", min=1)] = 1,
) -> None:
    """Our training loop beside a plain PyTorch one; exit code 1 where it has less than 80 % of its tokens/s."""
    if find_spec("torch") is None:
        refuse("torch: not installed; run pip install 'dialogue-serving[train]'")
    from dialogue_predictor.bench.training import compare

    try:
        result = compare(rounds, steps, threads, typer.echo)
    except RuntimeError as error:
        refuse(str(error))
    typer.echo(f"\n{result.table}")
    raise typer.Exit(int(result.failed))


def refuse(message: str) -> None:
    """One line on stderr and exit code 2."""
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(2)
