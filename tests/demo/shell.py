"""Commands as a person would type them: run, show what went wrong, stop with one sentence."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

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
    return run(sys.executable, "-m", "cluster", *arguments, quiet=arguments[0] == "env")


def read_exports(text: str) -> Mapping[str, str]:
    """`export A=b C=d` as a mapping."""
    words = [word for word in text.split() if "=" in word]
    return {key: os.path.expandvars(value) for key, value in (word.split("=", 1) for word in words)}


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


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns, two blanks apart."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
