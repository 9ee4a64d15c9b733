"""Carry the chain out, one process a command, and make the bundles with their cards."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from dialogue_predictor.artifacts.build import build
from dialogue_predictor.artifacts.bundle import Bundle, open_bundle
from dialogue_predictor.recipe.card import card_of
from dialogue_predictor.recipe.chain import DIGEST, EVALUATION, FIRST, SECOND, Sizes, Step, chain

NAME = "default"


class StepFailed(Exception):
    """A command of the chain ended with `code`; it has said why itself."""

    def __init__(self, step: Step, code: int) -> None:
        super().__init__(f"dialogue {' '.join(step.words[:2])} ended with {code}; start the chain again to go on")
        self.code = code


def train_default(
    data: Path, out: Path, sizes: Sizes, threads: int, seed: int, say: Callable[[str], None]
) -> list[Bundle]:
    """Both versions, in `out`/bundles. Raises StepFailed."""
    steps = chain(data, out, sizes, threads, seed)
    carry_out_all(steps, out, say)
    bundles = []
    for version in (FIRST, SECOND):
        run, folder = out / f"int8-{version}", out / "bundles" / version
        if not (folder / DIGEST).exists():
            card = card_of(NAME, version, run, run / EVALUATION, steps, data, out)
            build(run, folder, NAME, version, "int8", "int8", card)
        bundles.append(open_bundle(folder))
        say(f"{folder}: {bundles[-1].digest}")
    return bundles


def carry_out_all(steps: Sequence[Step], out: Path, say: Callable[[str], None]) -> None:
    """Those that are not done yet, in the folder `out`. Raises StepFailed."""
    out.mkdir(parents=True, exist_ok=True)
    for number, step in enumerate(steps, 1):
        line = f"{number}/{len(steps)} dialogue {' '.join(step.words)}"
        if step.result.exists():
            say(f"{line}\n    done before")
            continue
        say(line)
        carry_out(step)


def carry_out(step: Step) -> None:
    """Run the command; it inherits the terminal, and Ctrl-C reaches it as it reaches us."""
    process = subprocess.Popen([sys.executable, "-m", "dialogue_predictor.cli", *step.words])
    while True:
        try:
            code = process.wait()
            break
        except KeyboardInterrupt:
            continue  # it saves what it has and ends by itself
    if code != 0:
        raise StepFailed(step, code)
    if not step.result.exists():
        step.result.touch()  # a command that writes no report of its own
