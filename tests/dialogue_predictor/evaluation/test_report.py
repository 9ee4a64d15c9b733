"""Reports: kept whole, shown the same in Markdown and HTML, and put side by side."""

import json
import math
from pathlib import Path

import pytest

from dialogue_predictor.evaluation.ablation import ablation
from dialogue_predictor.evaluation.pages import html_page, markdown_page
from dialogue_predictor.evaluation.report import Figure, Report, load_report, save_report
from dialogue_predictor.evaluation.tables import Table, markdown, number, table_of

SUBJECT = {"name": "tiny", "version": "1", "parameters": 1234, "precision": "fp32", "where": "tiny"}
SETTINGS = {"seed": 0, "most": 5, "facts": True, "cases": {"sgd": 5}}
FIGURES = (
    Figure("replies", "sgd", "chrF", "model", 20.0, 5),
    Figure("replies", "sgd", "chrF", "TF-IDF", 10.0, 5),
    Figure("replies", "sgd", "degenerate", "model", 2.5, 5, "%"),
    Figure("robustness", "sgd, typos", "chrF", "model", 20.0, 5, at=0.0),
    Figure("robustness", "sgd, typos", "chrF", "model", 18.5, 5, at=0.1),
)


def report(*figures: Figure) -> Report:
    return Report({"model": SUBJECT}, SETTINGS, figures or FIGURES, ("speed was left out: <none>",))


def test_a_report_comes_back_from_its_file(tmp_path: Path) -> None:
    save_report(report(), tmp_path)
    assert load_report(tmp_path) == report()


def test_what_json_cannot_hold_is_null_there(tmp_path: Path) -> None:
    path = save_report(report(Figure("perplexity", "sgd", "perplexity", "model", math.inf)), tmp_path)
    assert json.loads(path.read_text())["figures"][0]["value"] is None
    assert math.isnan(load_report(tmp_path).figures[0].value)


def test_a_table_has_a_column_for_each_that_was_measured() -> None:
    assert table_of(report().of("replies")) == Table(
        ("on", "what", "model", "TF-IDF", "examples"),
        (("sgd", "chrF", "20.00", "10.00", "5"), ("sgd", "degenerate ↓", "2.50 %", "–", "5")),
    )


def test_noise_has_a_column_for_each_strength_with_the_drop() -> None:
    table = table_of(report().of("robustness"))
    assert table.head == ("on", "whose", "chrF at 0", "chrF at 0.1")
    assert table.rows == (("sgd, typos", "model", "20.00", "18.50 (−1.50)"),)


def test_numbers_have_as_many_digits_as_can_be_read() -> None:
    assert [number(value) for value in (1.234, 123.45, 12345.6, -1.5)] == ["1.23", "123.5", "12,346", "−1.50"]
    assert number(3, " ms") == "3.00 ms"
    assert number(math.nan) == "–"


def test_cells_cannot_break_a_markdown_table() -> None:
    assert markdown(Table(("a|b",), (("c",),))) == "| a∣b |\n| --- |\n| c |"


def test_both_pages_have_the_tables_and_html_loads_nothing() -> None:
    text, page = markdown_page(report()), html_page(report())
    for shown in ("18.50 (−1.50)", "2.50 %", "tiny 1", "1,234"):
        assert shown in text
        assert shown in page
    assert "&lt;none&gt;" in page
    assert page.count("<svg") == 2
    body = page.replace("http://www.w3.org", "")
    assert not any(mark in body for mark in ("<script", "<link", "http://", "https://", "@import"))


def test_plots_are_the_same_each_time() -> None:
    assert html_page(report()) == html_page(report())


def test_an_ablation_has_a_column_for_each_report(tmp_path: Path) -> None:
    for name, chrf in (("with", 20.0), ("without", 15.0)):
        folder = tmp_path / name / "evaluation"
        folder.mkdir(parents=True)
        save_report(report(*FIGURES[1:], Figure("replies", "sgd", "chrF", "model", chrf, 5)), folder)
    lines = ablation([tmp_path / "with", tmp_path / "without" / "evaluation"]).splitlines()
    assert lines[0] == "| part | on | what | with | evaluation |"
    assert "| replies | sgd | chrF | 20.00 | 15.00 |" in lines
    assert not any("TF-IDF" in line or "18.50" in line for line in lines)


def test_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "eval").mkdir(parents=True)
        save_report(report(), tmp_path / name / "eval")
    assert "| a/eval | b/eval |" in ablation([tmp_path / "a/eval", tmp_path / "b/eval"])
    with pytest.raises(ValueError, match="named twice"):
        ablation([tmp_path / "a/eval", tmp_path / "a/eval"])


def test_what_is_no_report_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"report\.json is not there: run `dialogue evaluate"):
        ablation([tmp_path])
    (tmp_path / "report.json").write_text('{"stage": "finetune"}')
    with pytest.raises(ValueError, match="no report of `dialogue evaluate`"):
        ablation([tmp_path])
