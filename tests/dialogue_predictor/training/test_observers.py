"""What a run shows: lines, a bar, curves; and the folder's own account of itself."""

from pathlib import Path

import pytest

from dialogue_predictor.training.observers import Bar, Lines, Point, Several, Silent, TensorBoard, minutes
from dialogue_predictor.training.schedule import Progress, Schedule

SCHEDULE = Schedule(max_steps=100)
PROGRESS = Progress(25, 60.0, 5_000)
POINT = Point(25, 60.0, 5_000, 1e-3, 1234.5, 10**9, 2.0, 1.5)


def test_a_line_says_loss_speed_and_time_left() -> None:
    lines: list[str] = []
    Lines(lines.append).measure(POINT, PROGRESS, SCHEDULE)
    for part in ("step     25", "loss  2.000", "validation  1.500", "1,234 tokens/s", "25.0% done", "3.0 min left"):
        assert part in lines[0]


def test_a_point_without_losses_is_no_trouble() -> None:
    lines: list[str] = []
    Lines(lines.append).measure(Point(25, 60.0, 5_000, 1e-3, 1.0, 1), PROGRESS, SCHEDULE)
    assert "loss" not in lines[0]
    assert minutes(SCHEDULE.seconds_left(Progress())) == "unknown time"


def test_the_bar_stays_in_place_and_keeps_validations(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar()
    bar.say("before it began")
    bar.measure(POINT, PROGRESS, SCHEDULE)
    bar.advance(Progress(26, 61.0, 5_100), SCHEDULE)
    bar.say("[resuming] at step 3")
    bar.close()
    shown = capsys.readouterr().out
    assert "before it began" in shown
    assert "[resuming] at step 3" in shown  # no markup
    assert "validation  1.500" in shown
    assert bar.bars is not None
    assert bar.bars.tasks[0].completed == pytest.approx(0.26)
    assert bar.bars.tasks[0].fields["text"] == "step 26  loss 2.000  1,234 tokens/s  2.9 min left"


def test_curves_are_written_and_those_of_a_resumed_run_replace_what_it_redoes(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for loss in (2.0, 3.0):
        board = TensorBoard(tmp_path)
        board.measure(Point(25, 60.0, 5_000, 1e-3, 1234.5, 10**9, loss, 1.5), PROGRESS, SCHEDULE)
        board.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [event.value for event in events.Scalars("loss/training")] == [3.0]
    assert {"loss/validation", "learning_rate", "speed/tokens_per_second"} <= set(events.Tags()["scalars"])


def test_several_observers_all_see_and_end() -> None:
    seen: list[str] = []

    class Noting(Silent):
        def say(self, line: str) -> None:
            seen.append(line)

        def close(self) -> None:
            seen.append("closed")

    both = Several(Noting(), Noting())
    both.say("hello")
    both.close()
    assert seen == ["hello", "hello", "closed", "closed"]
