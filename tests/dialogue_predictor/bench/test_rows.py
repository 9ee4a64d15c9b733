"""Rows against their bounds, and samples to rows."""

import pytest

from dialogue_predictor.bench import compare, rows
from dialogue_predictor.bench.processes import Reply
from dialogue_predictor.bench.rows import Finding, Row, Verdict
from dialogue_predictor.bench.sampling import Samples
from dialogue_predictor.bench.settings import CT2_FP32, HUGGING_FACE, OURS_FP32, Layout, Setting
from dialogue_predictor.bench.work import Work

GREATER = Row(title="speed", floor=1.0, target=1.5)
SMALLER = Row(title="latency", floor=0.6, target=0.4, lower=True)
TOGETHER, APART = Layout(1, 2), Layout(2, 1)


@pytest.mark.parametrize(
    ("row", "value", "verdict"),
    [
        (GREATER, 0.99, "floor missed"),
        (GREATER, 1.0, "target missed"),
        (GREATER, 1.5, "met"),
        (SMALLER, 0.61, "floor missed"),
        (SMALLER, 0.6, "target missed"),
        (SMALLER, 0.4, "met"),
        (Row(title="free"), 0.0, "met"),
        (Row(title="only a floor", floor=2.0), 2.0, "met"),
        (GREATER, None, "not measured"),
    ],
)
def test_a_value_is_judged_by_floor_and_target(row: Row, value: float | None, verdict: Verdict) -> None:
    assert Finding(row, value).verdict == verdict


@pytest.mark.parametrize(
    ("finding", "failed"),
    [
        (Finding(GREATER, 0.9), True),
        (Finding(GREATER, 1.2), False),
        (Finding(GREATER, None, "it broke"), True),
        (Finding(GREATER, None, "no GPU", excused=True), False),
        (Finding(Row(title="free"), None, "it broke"), False),
    ],
)
def test_what_makes_the_command_fail(finding: Finding, failed: bool) -> None:
    assert finding.failed is failed


def test_every_row_stands_in_the_table_once() -> None:
    every = [row for row in vars(rows).values() if isinstance(row, Row)]
    assert sorted(row.title for row in rows.ROWS) == sorted(row.title for row in every)


def samples(seconds: float, peak_mib: float = 100.0, outputs: list[list[int]] | None = None) -> Samples:
    return Samples([Reply(seconds, 64, 0.0, peak_mib, outputs)])


TAKEN = {
    Setting(HUGGING_FACE, TOGETHER): samples(6.0, 900, [[1], [2], [3], [4]]),
    Setting(CT2_FP32, TOGETHER): samples(3.0, 300, [[1], [2], [9], [9]]),
    Setting(CT2_FP32, APART, 8): samples(2.0, 300),
    Setting(OURS_FP32, TOGETHER): samples(1.5, 400, [[1], [2], [3], [9]]),
    Setting(OURS_FP32, APART, 16): samples(1.6, 400),
}


def test_the_best_setting_stands_against_the_best() -> None:
    found = compare.faster(rows.BEST_LAYOUTS, TAKEN, OURS_FP32, CT2_FP32)
    assert found.value == pytest.approx(2.0 / 1.5)
    assert found.detail == "1,500 ms (1x2) against 2,000 ms (2x1 by 8)"


def test_the_same_layout_is_compared_whatever_is_faster() -> None:
    found = compare.faster_alike(rows.SAME_LAYOUT, TAKEN, TOGETHER, OURS_FP32, CT2_FP32)
    assert found.value == pytest.approx(2.0)


def test_memory_counts_what_comes_on_top_of_the_library() -> None:
    library = {Setting(OURS_FP32, TOGETHER): 280.0, Setting(CT2_FP32, TOGETHER): 200.0}
    assert compare.memory(TAKEN, library, TOGETHER).value == pytest.approx(120 / 100)


def test_agreement_is_with_hugging_face() -> None:
    found = compare.agreements(TAKEN, TOGETHER)
    assert found.value == 75
    assert found.detail.startswith("CTranslate2 50 %")


def test_the_share_of_a_limit_is_of_time() -> None:
    work = Work(batch=32)
    found = compare.gemm_share(TAKEN, work, "F.linear", 404e9)
    assert found.value == pytest.approx(100 / 1.5, rel=0.01)
    read = compare.bytes_share(TAKEN, Work(batch=1), "sum", 32 * 153.6e6)
    assert read.value == pytest.approx(100 / 1.5, rel=0.01)
