"""The section of the page: how it looks, and that writing it again changes nothing else."""

import pytest

from dialogue_predictor.bench.page import BEGIN, END, findings_table, number, replaced, samples_table, section
from dialogue_predictor.bench.processes import Reply
from dialogue_predictor.bench.rows import Finding, Row
from dialogue_predictor.bench.sampling import Samples
from dialogue_predictor.bench.settings import CT2_INT8, Layout, Setting

PAGE = f"# Measured\n\nby people\n\n{BEGIN}\n\nold | figures\n\n{END}\n\n## More\n"


def test_writing_twice_is_writing_once() -> None:
    once = replaced(PAGE, "new figures")
    assert replaced(once, "new figures") == once
    assert once == PAGE.replace("old | figures", "new figures")


def test_an_empty_section_is_filled() -> None:
    assert replaced(f"a\n{BEGIN}\n{END}\nb", "figures") == f"a\n{BEGIN}\n\nfigures\n\n{END}\nb"


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}{BEGIN}{END}", f"{BEGIN}{END}{END}"])
def test_a_page_without_one_pair_of_marks_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="decoding:begin"):
        replaced(text, "figures")


@pytest.mark.parametrize(("value", "text"), [(1.234, "1.23"), (12.34, "12.3"), (1234.5, "1,234"), (0.0, "0.00")])
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_the_table_of_findings() -> None:
    latency = Row(title="latency", floor=0.6, target=0.4, lower=True, unit=" s")
    table = findings_table(
        [
            Finding(latency, 0.5, "5 against 10 ms"),
            Finding(Row(title="steps", floor=2, target=3), None, "no GPU", excused=True),
            Finding(Row(title="free", unit=" %"), 99.0),
        ]
    )
    assert table.splitlines()[2:] == [
        "| latency | 0.50 s | ≤ 0.6 s | ≤ 0.4 s | target missed | 5 against 10 ms |",
        "| steps |  | ≥ 2 | ≥ 3 | not measured | no GPU |",
        "| free | 99.0 % |  |  |  |  |",
    ]


def test_the_table_of_samples_tells_of_disturbed_ones() -> None:
    setting = Setting(CT2_INT8, Layout(2, 1), 8)
    replies = [Reply(seconds, 64, foreign, 900.0) for seconds, foreign in ((1, 0), (2, 0.01), (3, 0), (9, 0.5))]
    table = samples_table("batch 32", {setting: Samples(replies)}, {Setting(CT2_INT8, Layout(2, 1)): 500.0})
    assert table.splitlines()[2] == (
        "| CTranslate2, int8 | 2x1 | 8 | 2,000 (1,000 to 3,000) | 32 | 3 | 1 | 400 (of 900) |"
    )


def test_the_section_names_command_and_machine() -> None:
    text = section("dialogue bench decoding", 2.54, "2 cores", ["| first |", "| second |"], ["a note"])
    assert text == "`dialogue bench decoding`, 2.5 minutes, on 2 cores\n\n| first |\n\n- a note\n\n| second |"
