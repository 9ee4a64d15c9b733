"""The chain of the default bundles: a tiny one from corpora to a reply, and that it goes on where it stopped."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from dialogue_predictor.artifacts.bundle import open_bundle
from dialogue_predictor.cli import app
from dialogue_predictor.recipe.card import commands
from dialogue_predictor.recipe.chain import FIRST, SECOND, Sizes, Step, chain
from dialogue_predictor.recipe.run import StepFailed, carry_out, train_default
from support.serving import HELLO, environment, serving
from support.tiny_corpora import write_corpora

TINY = Sizes(
    minutes=60,
    teacher=("--d-model", "32", "--heads", "4", "--ffn", "64", "--encoder-layers", "2", "--vocabulary", "400"),
    student=("--d-model", "16", "--heads", "2", "--ffn", "32", "--encoder-layers", "1", "--decoder-layers", "1"),
    training=("--batch-tokens", "512", "--learning-rate", "0.003", "--max-steps", "12"),
    answered=16,
    evaluated=4,
)


def test_the_stages_follow_each_other_and_share_the_time(tmp_path: Path) -> None:
    steps = chain(tmp_path / "data", tmp_path / "out", Sizes(minutes=100))
    assert [" ".join(step.words[:2]) for step in steps[:5]] == [
        "train pretrain",
        "train finetune",
        "compress sequences",
        "compress distil",
        "compress quantise",
    ]
    minutes = [
        float(step.words[step.words.index("--max-minutes") + 1]) for step in steps if "--max-minutes" in step.words
    ]
    assert sum(minutes) == pytest.approx(100)
    assert len({step.result for step in steps}) == len(steps)


def test_a_plan_is_printed_and_nothing_is_done(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    words = ["train", "default", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--plan"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0
    assert done.output.startswith("dialogue train pretrain --data")
    assert not (tmp_path / "out").exists()


def test_a_card_names_no_folder_of_the_machine(tmp_path: Path) -> None:
    first, second = (
        commands(chain(tmp_path / "data", tmp_path / "out"), version, tmp_path / "data", tmp_path / "out")
        for version in (FIRST, SECOND)
    )
    assert [line.split()[2] for line in second] == ["pretrain", "finetune", "quantise", "--bundle"]
    lines = first
    assert lines[0].startswith("dialogue train pretrain --data DATA")
    assert str(tmp_path) not in "\n".join(lines)
    assert any("int8-1.0.0" in line for line in lines)
    assert not any("int8-1.1.0" in line for line in lines)


def test_a_step_that_fails_ends_the_chain_with_its_code(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match=r"dialogue train pretrain ended with 2; start the chain again") as failed:
        carry_out(Step(("train", "pretrain", "--no-such-flag"), tmp_path / "report.json"))
    assert failed.value.code == 2
    assert not (tmp_path / "report.json").exists()


def test_no_corpora_is_one_clear_error(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "dialogue_predictor.cli", "train", "default"]
    words += ["--data", str(tmp_path), "--out", str(tmp_path / "out")]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "no corpus under" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.timeout(600)
def test_a_tiny_chain_from_corpora_to_a_reply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    data, out = write_corpora(tmp_path / "data"), tmp_path / "out"
    bundles = train_default(data, out, TINY, threads=1, seed=0, say=lambda line: None)
    assert [(one.version, one.quantisation.weights) for one in bundles] == [(FIRST, "int8"), (SECOND, "int8")]
    card = (bundles[0].folder / "card.md").read_text(encoding="utf-8")
    assert "dialogue train pretrain --data DATA" in card
    assert str(tmp_path) not in card

    pruned = out / "pruned"
    words = ["compress", "prune", "--source", str(out / "student"), "--data", str(data), "--out", str(pruned)]
    words += ["--ffn", "16", "--max-steps", "4", "--batch-tokens", "512", "--threads", "1", "--compared", "4"]
    carry_out(Step(tuple(words), pruned / "report.json"))
    assert json.loads((pruned / "config.json").read_text(encoding="utf-8"))["ffn"] == 16
    carry_out(
        Step(
            (
                "bundle",
                "build",
                str(pruned),
                str(out / "small"),
                "--name",
                "small",
                "--version",
                "1",
                "--weights",
                "int8",
            ),
            out / "small" / "digest",
        )
    )
    assert open_bundle(out / "small").architecture.ffn == 16
    with serving(out / "small", tmp_path) as predictor:
        predictor.wait_ready()
        answer = httpx.post(f"{predictor.url}/v1/chat/completions", json=HELLO, timeout=60)
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["finish_reason"] in ("stop", "length")

    again: list[str] = []
    assert [one.digest for one in train_default(data, out, TINY, 1, 0, again.append)] == [one.digest for one in bundles]
    assert sum("done before" in line for line in again) == len(chain(data, out, TINY))
