"""Commands as a person would type them: run, show what went wrong, stop with one sentence."""

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
STARTED = time.monotonic()


class DemoError(Exception):
    """The demo cannot go on; the text says what to do."""


def say(text: str) -> None:
    print(f"[{time.monotonic() - STARTED:6.1f} s] {text}", flush=True)


def run(*command: str, stdin: str | None = None, quiet: bool = True) -> str:
    """A command's standard output. Raises DemoError with the end of what it said."""
    done = subprocess.run(command, input=stdin, text=True, cwd=ROOT, stdout=subprocess.PIPE if quiet else None,
                          stderr=subprocess.PIPE if quiet else None, check=False)  # fmt: skip
    if done.returncode:
        said = (done.stderr or done.stdout or "").strip()[-1500:]
        raise DemoError(f"{' '.join(command)[:160]}: exit status {done.returncode}\n{said}")
    return done.stdout or ""


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    return run("kubectl", *arguments, stdin=stdin)


def kubectl_json(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(kubectl(*arguments, "-o", "json"))
    return found


def local_cluster(*arguments: str) -> str:
    """The local cluster's own command; its progress goes straight to the terminal."""
    command = ("env", f"PYTHONPATH={ROOT / 'tests'}", sys.executable, "-m", "cluster", *arguments)
    return run(*command, quiet=arguments[0] == "env")


def read_exports(text: str) -> Mapping[str, str]:
    """`export A=b` lines as a mapping."""
    words = [word for word in shlex.split(text) if "=" in word]
    return dict(word.split("=", 1) for word in words)


def wait_for(what: str, seen: Callable[[], bool], seconds: float, every: float = 0.05) -> float:
    """Wait for a condition; returns the seconds it took. Raises DemoError at the deadline."""
    began = time.monotonic()
    while not seen():
        if time.monotonic() - began > seconds:
            raise DemoError(
                f"waited {seconds:.0f} s for {what}; see: kubectl describe dm -n demo, kubectl get events -n demo"
            )
        time.sleep(every)
    return time.monotonic() - began


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns, two blanks apart; a Chinese character is two columns wide."""
    found = Table(*header, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for row in rows:
        found.add_row(*row)
    console = Console(width=200, no_color=True, highlight=False)
    with console.capture() as printed:
        console.print(found)
    return "\n".join(line.rstrip() for line in printed.get().splitlines())
