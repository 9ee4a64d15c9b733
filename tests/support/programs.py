"""Programs that tests run: the ones this project compiled for its local cluster, else what PATH has."""

import shutil
from pathlib import Path

import pytest

from cluster.build import program


def find(name: str) -> Path | None:
    """Where a program is, or None."""
    built = program(name)
    found = str(built) if built.exists() else shutil.which(name)
    return Path(found) if found else None


def require(name: str) -> Path:
    """Where a program is; the test is skipped where there is none."""
    found = find(name)
    if found is None:
        pytest.skip(f"there is no {name}: `make cluster-up` compiles it")
    return found
