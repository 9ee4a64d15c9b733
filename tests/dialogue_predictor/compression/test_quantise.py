"""Quantised runs: the bundle of one stores what was measured; comparisons say what changed."""

import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from dialogue_predictor.artifacts.build import build
from dialogue_predictor.artifacts.weights import load_model, quantise
from dialogue_predictor.cli.compress import app
from dialogue_predictor.compression.measure import Candidate, compare, replies
from dialogue_predictor.compression.quantise import QuantiseOptions, quantise_run, quantised
from dialogue_predictor.training.observers import Lines
from dialogue_predictor.training.run import load_start, open_run
from support.tiny_batches import examples
from support.tiny_bundles import tiny_bundle, tiny_tokenizer
from support.tiny_corpora import write_corpora
from support.tiny_models import tiny_model

OPTIONS = QuantiseOptions(compared=4, threads=1)


def test_a_bundle_of_a_quantised_run_stores_the_codes_that_were_measured(tmp_path: Path) -> None:
    lines: list[str] = []
    source = tiny_bundle(tmp_path / "source")
    quantise_run(source.folder, write_corpora(tmp_path / "data"), tmp_path / "run", OPTIONS, Lines(lines.append))
    run = open_run(tmp_path / "run")
    assert run.report["quantisation"] == {"weights": "int8", "compute": "int8"}
    bundle = build(run.folder, tmp_path / "bundle", "tiny", "2", weights="int8", compute="int8")
    assert (bundle.quantisation.weights, bundle.quantisation.compute) == ("int8", "int8")
    stored, original = load_file(bundle.weights_path), load_model(source).state_dict()
    name = "model.decoder.layers.1.encoder_attn.k_proj.weight"
    assert torch.equal(stored[name], quantise(original[name])[0])
    for name, value in load_model(bundle).state_dict().items():
        assert torch.allclose(value, run.weights[name], rtol=1e-3, atol=1e-6)
    told = run.report["compression"]
    assert told["after"]["bytes"] == bundle.weights_path.stat().st_size < 0.75 * told["before"]["bytes"]
    assert told["after"]["parameters"] == told["before"]["parameters"]
    table = lines[-1].splitlines()
    assert table[0].startswith("| over 4 replies | before (fp16, computed in fp32) | int8 (int8, computed in int8) |")
    assert [line.split(" | ")[0] for line in table[2:]] == [
        "| bytes", "| parameters", "| nonzero", "| tokens per second", "| perplexity", "| chrf",
    ]  # fmt: skip


def test_a_quantised_model_scores_nearly_as_before() -> None:
    model = tiny_model(5, spread=4.0)
    source = torch.tensor([[5, 9, 13, 40]])
    inputs = (source, torch.ones_like(source, dtype=torch.bool), torch.tensor([[2, 7, 8]]))
    exact, rounded = model(*inputs).detach(), quantised(model)(*inputs).detach()
    assert 0 < float((exact - rounded).abs().max()) < 0.05 * float(exact.abs().max())


def test_comparing_measures_each_model_as_it_is_and_changes_none() -> None:
    model, other = tiny_model(5), tiny_model(6, d_model=16, ffn=24)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    result = compare(
        Candidate("a", model, "fp32"), Candidate("b", other, "fp16", "int8"), examples(4), tiny_tokenizer()
    )
    assert result.before.parameters == sum(value.numel() for value in model.parameters())
    assert 4 * result.before.parameters < result.before.bytes < 4.5 * result.before.parameters
    assert result.after.bytes < result.before.bytes / 3
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with pytest.raises(ValueError, match="no validation example"):
        compare(Candidate("a", model), Candidate("b", other), [], tiny_tokenizer())


def test_replies_come_in_the_order_of_their_sources() -> None:
    candidate = Candidate("a", tiny_model(5, eos_bias=-3.0))
    given = [one.source for one in examples(40)]
    shuffled = random.Random(2).sample(given, len(given))
    said = dict(zip(given, replies(candidate, given)[0], strict=True))
    assert [said[source] for source in shuffled] == replies(candidate, shuffled)[0]
    assert len(set(said.values())) > 10
    speed = replies(candidate, given, clock=iter((10.0, 12.0)).__next__)[1]
    assert speed == sum(len(one) + 1 for one in said.values()) / 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["quantise", "--source", "{data}", "--data", "{data}", "--out", "{out}"], "is no run: it has no run.json"),
        (["quantise", "--source", "{bundle}", "--data", "{empty}", "--out", "{out}"], "no corpus under"),
        (["prune", "--source", "{bundle}", "--data", "{data}", "--out", "{out}"], "give either --share, for zeros"),
        (["prune", "--source", "{bundle}", "--data", "{data}", "--out", "{out}", "--heads", "9"], "--heads must lie in 1..4"),
        (["distil", "--teacher", "{bundle}", "--data", "{data}", "--out", "{out}", "--heads", "5"], "must be divisible by heads"),
        (["distil", "--teacher", "{bundle}", "--data", "{data}", "--out", "{out}", "--soft-weight", "0",
          "--target-weight", "0"], "one of --soft-weight"),
    ],
)  # fmt: skip
def test_bad_input_gets_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "empty").mkdir()
    data, bundle = write_corpora(tmp_path / "data"), tiny_bundle(tmp_path / "bundle").folder
    where = {"data": data, "bundle": bundle, "empty": tmp_path / "empty", "out": tmp_path / "out"}
    result = CliRunner().invoke(app, [argument.format(**where) for argument in arguments])
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert not (tmp_path / "out").exists()


def test_a_run_is_not_overwritten(tmp_path: Path) -> None:
    source, data = tiny_bundle(tmp_path / "source"), write_corpora(tmp_path / "data")
    quantise_run(source.folder, data, tmp_path / "run", OPTIONS)
    with pytest.raises(FileExistsError, match="choose another folder"):
        quantise_run(source.folder, data, tmp_path / "run", OPTIONS)
    assert load_start(tmp_path / "run")[0].config == source.architecture
