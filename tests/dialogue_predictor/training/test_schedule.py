"""Rates, budgets and patience, against arithmetic."""

from dataclasses import replace

import pytest

from dialogue_predictor.training.schedule import Progress, Schedule, Stopping

SCHEDULE = Schedule(max_steps=100, peak_rate=1.0, final_rate=0.1, warmup_steps=10)


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.1), (4, 0.5), (50, 0.55), (100, 0.1)],
    ids=["starts small", "rises by steps", "half way between peak and final", "ends at the final rate"],
)
def test_the_rate(step: int, rate: float) -> None:
    assert SCHEDULE.rate(Progress(step)) == pytest.approx(rate, abs=5e-3)


def test_a_linear_decay_falls_evenly() -> None:
    linear = replace(SCHEDULE, decay="linear")
    rates = [linear.rate(Progress(step)) for step in (20, 40, 60, 80, 100)]
    assert rates == pytest.approx([0.82, 0.64, 0.46, 0.28, 0.1])
    assert SCHEDULE.rate(Progress(20)) > rates[0]  # a cosine stays high for longer


def test_minutes_count_as_much_as_steps() -> None:
    timed = replace(SCHEDULE, max_seconds=200.0)
    assert timed.spent(Progress(10, 100.0)) == 0.5
    assert timed.rate(Progress(10, 100.0)) == pytest.approx(0.55)
    assert timed.spent(Progress(10, 300.0)) == 1.0
    assert timed.seconds_left(Progress(10, 50.0)) == 150.0


def test_a_peak_below_the_final_rate_is_not_passed() -> None:
    assert replace(SCHEDULE, peak_rate=0.01).rate(Progress(99)) <= 0.01


def test_patience_counts_validations_without_gain() -> None:
    stopping = Stopping()
    since = []
    for loss in (3.0, 2.0, 2.5, 2.0, 1.0, 4.0):
        stopping = stopping.after(loss)
        since.append(stopping.since)
    assert since == [0, 0, 1, 2, 0, 1]
    assert stopping.best == 1.0
    assert stopping.over(1)
    assert not stopping.over(2)
    assert not stopping.over(None)


@pytest.mark.parametrize("name", ["max_steps", "max_seconds", "peak_rate", "warmup_steps"])
def test_a_schedule_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be above 0, got 0"):
        Schedule(**{"max_steps": 1, name: 0})  # type: ignore[arg-type]
