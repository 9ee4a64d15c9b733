"""A published version appears whole and never changes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dialogue_predictor.artifacts import publish as publishing
from dialogue_predictor.artifacts.bundle import DIGEST, compute_digest, locate, open_bundle
from dialogue_predictor.artifacts.publish import publish
from dialogue_predictor.cli.bundle import app
from dialogue_predictor.errors import BundleInvalid, DigestMismatch

SOURCE = locate("builtin://default")


def test_a_copy_is_the_same_bundle(tmp_path: Path) -> None:
    published = publish(SOURCE, tmp_path / "models" / "1.0.0")
    assert published.digest == open_bundle(SOURCE).digest
    assert [entry.name for entry in (tmp_path / "models").iterdir()] == ["1.0.0"]


def test_a_new_version_is_another_digest_over_the_same_weights(tmp_path: Path) -> None:
    published = publish(SOURCE, tmp_path / "1.1.0", version="1.1.0")
    assert published.version == "1.1.0"
    assert published.digest != open_bundle(SOURCE).digest
    assert published.architecture == open_bundle(SOURCE).architecture
    assert published.weights_path.read_bytes() == (SOURCE / "model.safetensors").read_bytes()


def test_publishing_the_same_again_changes_nothing(tmp_path: Path) -> None:
    first = publish(SOURCE, tmp_path / "1.0.0")
    written = (first.folder / DIGEST).stat().st_mtime_ns
    assert publish(SOURCE, tmp_path / "1.0.0") == first
    assert (first.folder / DIGEST).stat().st_mtime_ns == written


def test_an_empty_folder_gives_way(tmp_path: Path) -> None:
    """The kubelet makes one where a Pod names a folder that is not there yet."""
    (tmp_path / "1.0.0").mkdir()
    assert publish(SOURCE, tmp_path / "1.0.0").folder == tmp_path / "1.0.0"


def test_other_content_under_the_same_name_is_refused(tmp_path: Path) -> None:
    first = publish(SOURCE, tmp_path / "1.0.0")
    with pytest.raises(BundleInvalid, match="a published version never changes"):
        publish(SOURCE, tmp_path / "1.0.0", version="2.0.0")
    assert open_bundle(tmp_path / "1.0.0") == first
    assert [entry.name for entry in tmp_path.iterdir()] == ["1.0.0"]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "1.0.0").mkdir()
    (tmp_path / "1.0.0" / "notes.txt").write_text("mine")
    with pytest.raises(BundleInvalid):
        publish(SOURCE, tmp_path / "1.0.0")
    assert (tmp_path / "1.0.0" / "notes.txt").read_text() == "mine"


def test_a_failure_on_the_way_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(publishing, "flush", full)
    with pytest.raises(OSError, match="No space left"):
        publish(SOURCE, tmp_path / "1.0.0")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_source_is_not_published(tmp_path: Path) -> None:
    damaged = publish(SOURCE, tmp_path / "source")
    (damaged.folder / "card.md").write_text("other")
    with pytest.raises(DigestMismatch):
        publish(damaged.folder, tmp_path / "1.0.0")
    assert not (tmp_path / "1.0.0").exists()


def test_the_command_line_publishes_inspects_and_verifies(tmp_path: Path) -> None:
    target = str(tmp_path / "1.1.0")
    published = CliRunner().invoke(app, ["publish", "builtin://default", target, "--version", "1.1.0"])
    assert published.exit_code == 0, published.output
    digest = published.stdout.strip()
    assert digest == compute_digest(tmp_path / "1.1.0")
    inspected = json.loads(CliRunner().invoke(app, ["inspect", target]).stdout)
    assert (inspected["version"], inspected["digest"]) == ("1.1.0", digest)
    assert CliRunner().invoke(app, ["verify", target, "--digest", digest]).stdout.strip() == digest


def test_the_command_line_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["verify", str(tmp_path / "nothing")])
    assert result.exit_code == 1
    assert result.stderr == f"BundleNotFound: no folder {tmp_path / 'nothing'}\n"
