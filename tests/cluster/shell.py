"""Calling other programs: one function that must succeed, one that may fail, one that shows progress."""

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from cluster.console import ClusterError, while_waiting

Word = str | Path
Env = Mapping[str, str]


class CommandFailed(ClusterError):
    """A program that we called said no."""


def direct() -> dict[str, str]:
    """The environment less its proxies: inside the cluster everything is one hop away."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


def _failed(command: tuple[Word, ...], code: int, said: str) -> CommandFailed:
    return CommandFailed(f"{' '.join(map(str, command))[:200]}: exit code {code}\n{said[-2000:]}".rstrip())


def run(*command: Word, stdin: str | None = None, cwd: Path | None = None, env: Env | None = None) -> str:
    """Its standard output; if it fails, an error that shows what it said. Without proxies unless `env` has them."""
    done = subprocess.run(
        [str(word) for word in command],
        input=stdin or "",
        cwd=cwd,
        env=direct() if env is None else env,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise _failed(command, done.returncode, done.stdout + done.stderr)
    return done.stdout


def attempt(*command: Word, stdin: str | None = None) -> str | None:
    """Its standard output, or None if it failed or does not exist."""
    try:
        return run(*command, stdin=stdin)
    except (CommandFailed, FileNotFoundError):
        return None


def run_long(
    *command: Word,
    progress: Callable[[float], str],
    cwd: Path | None = None,
    env: Env | None = None,
    show: bool = False,
) -> None:
    """Run something that takes a while and say `progress(seconds)` meanwhile; its output is shown live or on failure."""
    with subprocess.Popen(
        [str(word) for word in command],
        cwd=cwd,
        env=direct() if env is None else env,
        stdin=subprocess.DEVNULL,
        stdout=None if show else subprocess.PIPE,
        stderr=None if show else subprocess.STDOUT,
        text=True,
    ) as process:
        said = ""

        def finished(step: float) -> bool:
            nonlocal said
            try:
                said = process.communicate(timeout=step)[0] or ""
            except subprocess.TimeoutExpired:
                return False
            return True

        try:
            while_waiting(finished, progress)
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise _failed(command, process.returncode, said)
