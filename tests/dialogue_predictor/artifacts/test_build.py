"""A run's folder becomes a bundle that answers, whose card says what the run recorded and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from dialogue_predictor.artifacts.build import build
from dialogue_predictor.artifacts.bundle import open_bundle
from dialogue_predictor.artifacts.config import Quantisation
from dialogue_predictor.artifacts.weights import load_model
from dialogue_predictor.cli.bundle import app
from dialogue_predictor.errors import BundleInvalid
from support.tiny_bundles import tiny_tokenizer
from support.tiny_models import tiny_model

DATA = [{"name": "SGD", "languages": ["English"], "origin": "Google Research", "licence": "CC BY-SA 4.0"}]
RECORDS: dict[str, Any] = {
    "run.json": {"stage": "finetune", "options": {"seed": 17, "smoothing": 0.1}},
    "report.json": {"data": DATA, "perplexity": {"en": 14.128}, "steps": 200, "losses": [3, 2, 1]},
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    tokenizer = tiny_tokenizer()
    tokenizer.save(folder / "tokenizer.json")
    model = tiny_model(4, vocab_size=tokenizer.vocab_size)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "model.safetensors")
    for name, values in (RECORDS | {"config.json": model.config.to_dict()}).items():
        (folder / name).write_text(json.dumps(values))
    return folder


@pytest.mark.parametrize(("weights", "tolerance"), [("fp32", 0.0), ("fp16", 1e-3), ("int8", 2e-2)])
def test_the_weights_are_the_runs_in_the_precision_asked_for(
    weights: Any, tolerance: float, run: Path, tmp_path: Path
) -> None:
    bundle = build(run, tmp_path / "bundle", "faq", "2.0.0", weights=weights, compute="int8")
    assert (bundle.name, bundle.version, bundle.quantisation) == ("faq", "2.0.0", Quantisation(weights, "int8"))
    assert open_bundle(bundle.folder) == bundle
    built = load_model(bundle).state_dict()
    for name, value in load_file(run / "model.safetensors").items():
        torch.testing.assert_close(built[name], value, rtol=0, atol=tolerance * float(value.abs().max()))


def test_a_smaller_format_is_a_smaller_file(run: Path, tmp_path: Path) -> None:
    sizes = [
        build(run, tmp_path / weights, "faq", "1", weights=weights).weights_path.stat().st_size
        for weights in ("fp32", "fp16", "int8")
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[2] * 2


def test_the_card_says_what_the_run_recorded(run: Path, tmp_path: Path) -> None:
    card = (build(run, tmp_path / "bundle", "faq", "2.0.0", weights="int8").folder / "card.md").read_text()
    parameters = sum(value.numel() for value in load_file(run / "model.safetensors").values())
    for said in (
        "# faq", "Version 2.0.0", f"{parameters:,} parameters, stored in int8", "Seed: 17", "Stage: finetune",
        "| SGD | English | Google Research | CC BY-SA 4.0 |", '{"seed": 17, "smoothing": 0.1}',
        "| perplexity en | 14.13 |", "| steps | 200 |",
    ):  # fmt: skip
        assert said in card
    assert "losses" not in card


def test_the_card_of_a_run_without_records_claims_nothing(run: Path, tmp_path: Path) -> None:
    for name in RECORDS:
        (run / name).unlink()
    card = (build(run, tmp_path / "bundle", "faq", "1").folder / "card.md").read_text()
    assert "| not measured | – |" in card
    assert card.count("not recorded") == 4
    assert "ask who trained it for corpora and licences" in card


def test_a_finished_card_is_taken_as_it_is(run: Path, tmp_path: Path) -> None:
    (tmp_path / "card.md").write_text("# Mine\n")
    said = CliRunner().invoke(
        app,
        ["build", str(run), str(tmp_path / "b"), "--name", "faq", "--version", "1", "--card", f"{tmp_path}/card.md"],
    )
    assert said.exit_code == 0, said.output
    assert (tmp_path / "b" / "card.md").read_text() == "# Mine\n"
    assert said.stdout.strip() == open_bundle(tmp_path / "b").digest


def test_the_same_run_builds_the_same_bytes(run: Path, tmp_path: Path) -> None:
    digests = {build(run, tmp_path / folder, "faq", "1", weights="int8").digest for folder in ("a", "b")}
    assert len(digests) == 1


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_run_that_has_not_ended_is_refused_by_what_it_lacks(name: str, run: Path, tmp_path: Path) -> None:
    (run / name).unlink()
    with pytest.raises(BundleInvalid, match=rf"{name} is missing; give the folder of a run that has ended"):
        build(run, tmp_path / "bundle", "faq", "1")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("config.json", b"{", "config.json: not JSON"),
        ("config.json", b'{"vocab_size": 9}', "config.json: architecture: "),
        ("tokenizer.json", b"{}", "tokenizer.json is not a tokenizer"),
        ("model.safetensors", b"\x80\x04N.", "model.safetensors: "),
        ("report.json", b"[]", "report.json: expected an object"),
    ],
)
def test_a_malformed_file_of_a_run_is_named(name: str, content: bytes, told: str, run: Path, tmp_path: Path) -> None:
    (run / name).write_bytes(content)
    with pytest.raises(BundleInvalid, match=told):
        build(run, tmp_path / "bundle", "faq", "1")


def test_weights_of_another_shape_are_refused(run: Path, tmp_path: Path) -> None:
    values = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(values | {"ffn": 8}))
    with pytest.raises(BundleInvalid, match=r"model\.safetensors: .*fc1"):
        build(run, tmp_path / "bundle", "faq", "1")


def test_weights_that_the_format_cannot_hold_are_refused(run: Path, tmp_path: Path) -> None:
    state = load_file(run / "model.safetensors")
    state["model.shared.weight"][0, 0] = 1e9
    save_file(state, run / "model.safetensors")
    with pytest.raises(BundleInvalid, match="not finite in half precision; choose other weights than fp16"):
        build(run, tmp_path / "bundle", "faq", "1")
    build(run, tmp_path / "bundle", "faq", "1", weights="fp32")
