"""`dialogue serve`: what it serves, and how it says that it cannot."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from dialogue_predictor.cli.serve import die, prepare, say_how_to_ask
from dialogue_predictor.config.source import Serving
from dialogue_predictor.config.spec import ModelSource, ServingSpec
from dialogue_predictor.errors import BundleNotFound, DialogueError
from support.serving import NAME, Predictor, environment, free_port
from support.tiny_bundles import tiny_bundle, tiny_tokenizer
from support.tiny_models import tiny_model

MANIFEST = "kind: DialogueModel\nmetadata: {name: concierge}\nspec:\n  model: {uri: %s}\n"


def serve(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dialogue_predictor.cli", "serve", *words]
    return subprocess.run(command, env=environment(**environ), capture_output=True, text=True, timeout=60, check=False)


def pod(uri: str, **model: str) -> dict[str, str]:
    return {
        "DIALOGUE_SPEC": json.dumps({"model": {"uri": uri, **model}}),
        "DIALOGUE_MODEL_NAME": NAME,
        "DIALOGUE_REVISION": "deadbeef",
    }


def test_a_manifest_is_prepared_with_its_bundle(bundle_folder: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "model.yaml"
    manifest.write_text(MANIFEST % os.path.relpath(bundle_folder, tmp_path))
    serving, bundle = prepare(manifest)
    assert (serving.name, bundle.folder.resolve()) == ("concierge", bundle_folder.resolve())


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({}, "SpecInvalid: nothing to serve"),
        (pod(""), "SpecInvalid: spec.model.uri"),
        (pod("s3://bucket"), "SpecInvalid: spec.model.uri"),
        (pod("pvc://claim/path"), "BundleNotFound: "),
        (pod("/nowhere"), "BundleNotFound: "),
    ],
)
def test_a_spec_that_cannot_be_served_ends_in_one_line(environ: dict[str, str], reason: str) -> None:
    done = serve(**environ)
    assert done.returncode == 1
    assert done.stderr.startswith(reason)
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_bundle_with_other_bytes_is_refused_before_anything_heavy_is_imported(bundle_folder: Path) -> None:
    script = (
        "import sys\n"
        "from dialogue_predictor.cli import app\n"
        "try:\n    app(['serve'])\n"
        "finally:\n    print(sorted({'torch', 'kserve', 'pandas', 'tokenizers'} & sys.modules.keys()))\n"
    )
    environ = environment(**pod(str(bundle_folder), digest="sha256:" + "0" * 64))
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("DigestMismatch: ")
    assert done.stdout.strip() == "[]"


def test_the_reason_is_written_where_kubernetes_looks(tmp_path: Path) -> None:
    log = tmp_path / "termination-log"
    log.touch()
    with pytest.raises(typer.Exit) as caught:
        die(BundleNotFound("no folder\nhere"), log)
    assert caught.value.exit_code == 1
    assert log.read_text() == "BundleNotFound: no folder here\n"


def test_no_termination_log_is_made_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(typer.Exit):
        die(DialogueError("LoadFailed", "x"), tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("option", ["--http-port", "--grpc-port"])
def test_a_port_that_is_taken_is_named(bundle_folder: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = {"--http-port": str(free_port()), "--grpc-port": str(free_port()), option: str(taken.getsockname()[1])}
        done = serve(str(bundle_folder), *(word for pair in ports.items() for word in pair))
    assert done.returncode == 1
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("LoadFailed: cannot listen on 127.0.0.1:")
    assert option in line


def test_weights_that_do_not_fit_end_in_one_line(tmp_path: Path) -> None:
    other = tiny_model(1, vocab_size=tiny_tokenizer().vocab_size, max_positions=16)
    bundle = tiny_bundle(tmp_path / "bundle", weights=other)
    ports = ("--http-port", str(free_port()), "--grpc-port", str(free_port()))
    done = serve(str(bundle.folder), *ports)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("LoadFailed: ")
    assert "Traceback" not in done.stderr


def test_a_terminal_is_told_how_to_ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    serving = Serving("concierge", "local", ServingSpec(model=ModelSource(uri="x")))
    say_how_to_ask(serving, "127.0.0.1", 8080)
    assert capsys.readouterr().out == "", "a log is no terminal"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    say_how_to_ask(serving, "127.0.0.1", 8080)
    assert 'curl http://127.0.0.1:8080/v1/chat/completions -d \'{"model":"concierge"' in capsys.readouterr().out


def test_kserve_gets_no_say_in_our_arguments(predictor: Predictor) -> None:
    """`serve` runs with arguments of its own; had kserve parsed them, another port would be open, or none."""
    assert predictor.process.poll() is None
    assert "usage:" not in predictor.log.read_text()


def test_help_is_quick_and_shows_an_example() -> None:
    started = time.monotonic()
    done = serve("--help")
    assert done.returncode == 0
    assert "dialogue serve manifests/samples/quickstart.yaml" in done.stdout
    assert time.monotonic() - started < 20
