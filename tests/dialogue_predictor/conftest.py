"""One real predictor for all tests that only ask it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.serving import Predictor, serving
from support.tiny_bundles import tiny_bundle


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny bundle. Tests may not change it."""
    return tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny").folder


@pytest.fixture(scope="session")
def predictor(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    """A tiny model behind the real servers; its replies never end by themselves. Tests may not stop it."""
    with serving(bundle_folder, tmp_path_factory.mktemp("predictor")) as running:
        running.wait_ready()
        yield running
