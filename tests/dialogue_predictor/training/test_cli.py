"""`dialogue train …`: one sentence for whatever is wrong, never a stack trace."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dialogue_predictor.cli import app
from support.tiny_corpora import TINY_FLAGS, write_corpora

SMALL = [
    *TINY_FLAGS,
    *["--batch-tokens", "256", "--threads", "1", "--precision", "fp32", "--max-steps", "2", "--warmup-steps", "1"],
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpora(tmp_path_factory.mktemp("data"))


def train(*words: object) -> Result:
    return CliRunner().invoke(app, ["train", *map(str, words)])


def test_both_stages_after_each_other(data: Path, tmp_path: Path) -> None:
    first = train("pretrain", "--data", data, "--out", tmp_path / "pre", *SMALL, "--contrast-weight", 0.5, "--resume")
    assert first.exit_code == 0, first.output
    begun = ["--start", tmp_path / "pre", "--max-steps", 2, "--threads", 1, "--precision", "fp16", "--decay", "linear"]
    second = train("finetune", "--data", data, "--out", tmp_path / "fine", *begun, "--patience", 3, "--no-copy")
    assert second.exit_code == 0, second.output
    assert "validation perplexity:" in second.output
    options = json.loads((tmp_path / "fine/run.json").read_text())["options"]
    assert options["loop"]["precision"] == "fp16"
    assert options["schedule"]["decay"] == "linear"
    assert json.loads((tmp_path / "pre/run.json").read_text())["options"]["contrast_weight"] == 0.5
    report = json.loads((tmp_path / "fine/report.json").read_text())
    assert report["steps"] == 2
    assert report["history"][-1]["validation"] > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--heads", "3"], "d_model (16) must be divisible by heads (3)"),
        (["--device", "nonsense"], "--device nonsense:"),
        (["--examples-share", "0"], "--examples-share must lie in (0, 1], got 0"),
        (["--start", "."], "is no run: it has no run.json"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(data: Path, tmp_path: Path, words: list[str], said: str) -> None:
    result = train("finetune", "--data", data, "--out", tmp_path / "run", *SMALL, *words)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert said in result.stderr
    assert not (tmp_path / "run" / "checkpoint").exists()


def test_an_empty_corpus_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    result = train("pretrain", "--data", tmp_path / "data", "--out", tmp_path / "run", *SMALL)
    assert result.exit_code == 1
    assert "no corpus under" in result.stderr


def test_a_run_in_the_way_is_said_so(data: Path, tmp_path: Path) -> None:
    words = ["--data", data, "--out", tmp_path / "run", *SMALL]
    assert train("pretrain", *words).exit_code == 0
    again = train("pretrain", *words)
    assert again.exit_code == 1
    assert "holds a run already: go on with it by --resume, or choose another folder" in again.stderr


@pytest.mark.parametrize("flag", ["--accumulate", "--max-steps", "--warmup-steps", "--patience", "--learning-rate"])
def test_flags_out_of_range_are_refused_by_name(data: Path, tmp_path: Path, flag: str) -> None:
    result = train("finetune", "--data", data, "--out", tmp_path / "run", flag, 0)
    assert result.exit_code == 2
    assert flag in result.stderr


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from dialogue_predictor.cli import app; "
        "CliRunner().invoke(app, ['train', '--help']); "
        "print([name for name in ('torch', 'optuna', 'tensorboard', 'sklearn', 'matplotlib') if name in sys.modules])"
    )
    path = os.pathsep.join(entry for entry in sys.path if entry)
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data-parallel", "fsdp", "--precision", "fp16"], "--precision fp16 needs whole gradients"),
        (["--data-parallel", "ddp"], "--data-parallel ddp needs several processes: start with torchrun"),
    ],
)
def test_flags_for_several_processes_are_checked_first(data: Path, tmp_path: Path, words: list[str], said: str) -> None:
    result = train("pretrain", "--data", data, "--out", tmp_path / "run", *SMALL, *words)
    assert result.exit_code == 1
    assert said in result.stderr
    assert not (tmp_path / "run").exists()
