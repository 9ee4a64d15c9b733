"""`dialogue bench decoding` before it measures anything: one line for what it cannot do."""

from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dialogue_predictor.bench import decoding
from dialogue_predictor.bench.decoding import Plan, Result
from dialogue_predictor.bench.page import BEGIN, END
from dialogue_predictor.bench.processes import BenchFailed
from dialogue_predictor.bench.rows import BATCH_1, BATCH_8, Finding
from dialogue_predictor.cli import app, bench

PAGE = f"# Measured\n{BEGIN}\nold\n{END}\n"


def asked(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["bench", "decoding", *arguments])
    return done.exit_code, done.stderr


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "NEEDED", ())


def finding(*found: Finding) -> Callable[[Plan, Callable[[str], None]], Result]:
    return lambda plan, told: Result(told, list(found))


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> ModuleSpec | None:
        return None

    monkeypatch.setattr(bench, "find_spec", nothing)
    code, said = asked("--quick")
    assert code == 2
    assert said == (
        "error: torch, transformers, ctranslate2: not installed; run pip install 'dialogue-serving[predictor,bench]'\n"
    )


@pytest.mark.usefixtures("installed")
def test_a_page_that_cannot_take_the_result_is_refused_before_measuring(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    code, said = asked("--page", str(page))
    assert (code, said.count("\n")) == (2, 1)
    assert said.startswith(f"error: --page {page}: ")
    page.write_text("# Measured\n")
    code, said = asked("--page", str(page))
    assert code == 2
    assert "decoding:begin" in said


def test_wrong_flags_are_refused() -> None:
    assert asked("--rounds", "0")[0] == 2
    assert asked("--fast")[0] == 2


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(("value", "code"), [(2.0, 0), (1.5, 0), (1.0, 1)])
def test_a_missed_floor_is_an_exit_code_and_the_result_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float, code: int
) -> None:
    monkeypatch.setattr(decoding, "run", finding(Finding(BATCH_8, value), Finding(BATCH_1, None, "", excused=True)))
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert asked("--page", str(page), "--quick")[0] == code
    text = page.read_text()
    assert "`make bench-decoding ARGS=--quick`, 0.0 minutes, on " in text
    assert f"| {BATCH_8.title} | {value:.2f} |" in text
    assert "old" not in text


@pytest.mark.usefixtures("installed")
def test_a_trial_leaves_the_page_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "run", finding(Finding(BATCH_8, 2.0)))
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert asked("--page", str(page), "--no-write")[0] == 0
    assert page.read_text() == PAGE


@pytest.mark.usefixtures("installed")
def test_an_engine_that_breaks_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(plan: Plan, told: Callable[[str], None]) -> Result:
        raise BenchFailed("hf 1x2: ValueError: no weights; see hf.log")

    monkeypatch.setattr(decoding, "run", breaks)
    assert asked("--no-write") == (2, "error: hf 1x2: ValueError: no weights; see hf.log\n")
