"""Compiling what the cluster runs, from the Go module proxy; nothing prebuilt is fetched.

A finished program is kept as <cache>/bin/<name>-<version>/<name>, so an interrupted build goes on where it stopped
and an update builds only what changed.
"""

import json
import os
import shutil
import time
from collections.abc import Collection
from pathlib import Path

from cluster import tools
from cluster.console import ClusterError, Estimate, duration, say
from cluster.places import CACHE, SOURCES
from cluster.shell import run, run_long
from cluster.versions import BINARIES, BY_NAME, STAMPS, Binary

BIN = CACHE / "bin"


def program(name: str) -> Path:
    return BIN / f"{name}-{BY_NAME[name].version}" / name


def module_folder(module: str, version: str) -> Path:
    """Where the module cache keeps the sources (and charts, CRDs and stages) of one module."""
    said = run(tools.go(), "mod", "download", "-json", f"{module}@{version}", env=_environment())
    return Path(json.loads(said)["Dir"])


def build(names: Collection[str] = ()) -> None:
    """Compile what is missing of `names` (default: everything but the add-ons)."""
    if unknown := set(names) - set(BY_NAME):
        raise ClusterError(f"unknown: {', '.join(sorted(unknown))}; there is: {', '.join(BY_NAME)}")
    wanted = [one for one in BY_NAME.values() if one.name in names] if names else BINARIES
    todo = [one for one in wanted if not program(one.name).exists()]
    if not todo:
        return
    estimate = Estimate({one.name: one.seconds for one in todo})
    say(
        f"compiling {len(todo)} programs: about {duration(estimate.left(0))} on two cores with empty caches, "
        "a minute or two with warm ones"
    )
    began = time.monotonic()
    for number, binary in enumerate(todo, 1):
        _compile(binary, f"{number}/{len(todo)} {binary.name} {binary.version}", estimate, began)


def _compile(binary: Binary, title: str, estimate: Estimate, began: float) -> None:
    def left() -> str:
        return f"about {duration(estimate.left(time.monotonic() - began))} left"

    here = time.monotonic()
    say(f"{title}: compiling, {left()}")
    target = program(binary.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_suffix(".new")
    run_long(
        tools.go(),
        "build",
        "-mod=readonly",
        f"-tags={binary.tags}",
        "-trimpath",
        "-ldflags",
        _ldflags(),
        "-o",
        half,
        binary.package,
        cwd=_sources(binary),
        env=_environment(),
        progress=lambda seconds: f"{title}: {seconds:.0f} s so far, {left()}",
    )
    half.rename(target)
    estimate.done(binary.name, time.monotonic() - began)
    say(f"{title}: done in {time.monotonic() - here:.0f} s")


def _sources(binary: Binary) -> Path:
    """Inside the module's own folder its `replace` lines apply; where that does not work, a wrapper repeats them."""
    if not binary.module:
        return SOURCES / binary.wrapper
    folder = module_folder(binary.module, binary.version)
    return _overlaid(binary, folder) if binary.overlay else folder


def _overlaid(binary: Binary, folder: Path) -> Path:
    """A copy with our files in the place of the module's: `go build -overlay` refuses files of the module cache."""
    copy = CACHE / "sources" / f"{binary.overlay}-{binary.version}"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    run("chmod", "-R", "u+w", copy)  # the module cache is read-only
    shutil.copytree(SOURCES / binary.overlay, copy, dirs_exist_ok=True)
    return copy


def _ldflags() -> str:
    return "-s -w " + " ".join(f"-X {name}={value}" for name, value in STAMPS.items())


def _environment() -> dict[str, str]:
    return {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}
