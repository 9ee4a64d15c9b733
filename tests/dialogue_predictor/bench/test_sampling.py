"""Interleaving, dropping what others disturbed, and choosing groups, with engines that only say how long they took."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, repeat

import pytest

from dialogue_predictor.bench.processes import Reply
from dialogue_predictor.bench.sampling import Pace, Samples, best, measure, repeats, tuned
from dialogue_predictor.bench.settings import CT2_FP32, OURS_FP32, Layout, Setting, groups, layouts
from dialogue_predictor.bench.work import Work

WORK = Work(batch=32)
TOGETHER, APART = Layout(1, 2), Layout(2, 1)


@dataclass
class Engine:
    """Says how long it took: by the group, and how much others did meanwhile, the last value for good."""

    name: str
    asked: list[tuple[str, int, int]] = field(default_factory=list)
    foreign: Iterator[float] = field(default_factory=lambda: repeat(0.0))
    seconds: dict[int, float] = field(default_factory=dict)

    def ask(self, work: Work, group: int = 0, *, repeat: int = 1, outputs: bool = False) -> Reply:
        self.asked.append((self.name, group, repeat))
        return Reply(self.seconds.get(group, 1.0), 64, next(self.foreign), 1.0, [[1]] if outputs else None)


def waits(patience: float) -> None: ...


def test_runs_are_interleaved() -> None:
    asked: list[tuple[str, int, int]] = []
    running = {Setting(name, TOGETHER): Engine(name, asked) for name in ("a", "b", "c")}
    measure(running, list(running), WORK, Pace(2, 0, 0), waits)
    assert [name for name, _, _ in asked] == ["a", "b", "c", "a", "b", "c"]


def test_rounds_go_on_until_enough_were_undisturbed() -> None:
    loud = Engine("loud", foreign=chain((0.5, 0.5), repeat(0.0)))
    setting = Setting("loud", TOGETHER)
    taken = measure({setting: loud}, [setting], WORK, Pace(3, 60, 0), waits)[setting]
    assert len(taken.replies) == 5
    assert (len(taken.counted), taken.dropped, taken.disturbed) == (3, 2, 0)


def test_without_a_budget_there_are_only_the_rounds_and_the_least_disturbed_count() -> None:
    loud = Engine("loud", foreign=iter((0.9, 0.3, 0.2, 0.4)))
    setting = Setting("loud", TOGETHER)
    taken = measure({setting: loud}, [setting], WORK, Pace(4, 0, 0), waits)[setting]
    assert sorted(reply.foreign for reply in taken.counted) == [0.2, 0.3, 0.4]
    assert (taken.dropped, taken.disturbed) == (1, 3)


def test_the_median_is_of_counted_samples_alone() -> None:
    replies = [Reply(seconds, 64, foreign, 1.0) for seconds, foreign in ((1, 0), (2, 0), (4, 0), (99, 1), (98, 1))]
    taken = Samples(replies)
    assert taken.seconds == 2
    assert taken.spread == (1, 4)
    assert taken.tokens_a_second == 32


def test_short_runs_are_repeated() -> None:
    assert [repeats(seconds) for seconds in (2.0, 0.5, 0.2, 0.001)] == [1, 1, 3, 20]


def test_a_layout_is_measured_with_its_fastest_group() -> None:
    apart = Engine("ct2", seconds={16: 3.0, 8: 1.0, 4: 2.0})
    setting = Setting(CT2_FP32, APART)
    assert tuned({setting: apart}, WORK, quick=True) == [setting.grouped(8)]


def test_one_engine_is_measured_with_all_at_once_whatever_is_faster() -> None:
    together = Engine("ct2", seconds={0: 2.0, 8: 1.0})
    setting = Setting(CT2_FP32, TOGETHER)
    assert tuned({setting: together}, WORK, quick=False) == [setting, setting.grouped(8)]


def test_the_best_is_an_engines_own() -> None:
    taken = {
        Setting(CT2_FP32, TOGETHER): Samples([Reply(1.0, 1, 0.0, 1.0)]),
        Setting(OURS_FP32, TOGETHER): Samples([Reply(3.0, 1, 0.0, 1.0)]),
        Setting(OURS_FP32, APART, 8): Samples([Reply(2.0, 1, 0.0, 1.0)]),
    }
    assert best(taken, OURS_FP32)[0] == Setting(OURS_FP32, APART, 8)


def test_layouts_of_a_machine() -> None:
    assert layouts(2) == (TOGETHER, APART)
    assert layouts(1) == (Layout(1, 1),)
    assert str(APART) == "2x1"
    assert Layout.parse("1x2") == TOGETHER


@pytest.mark.parametrize("text", ["", "2", "0x1", "1x2x3", "axb"])
def test_a_malformed_layout_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="layout must be like 1x2"):
        Layout.parse(text)


@pytest.mark.parametrize(
    ("engine", "layout", "batch", "quick", "sizes"),
    [
        (CT2_FP32, APART, 32, False, (16, 8, 4)),
        (OURS_FP32, APART, 32, False, (16, 8, 4)),
        (CT2_FP32, APART, 32, True, (16, 8)),
        (OURS_FP32, APART, 32, True, (16,)),
        (CT2_FP32, APART, 1, False, (1,)),
        (CT2_FP32, TOGETHER, 32, False, (0, 8)),
        (CT2_FP32, TOGETHER, 32, True, (0,)),
        (CT2_FP32, TOGETHER, 4, False, (0,)),
    ],
)
def test_groups_shrink_from_equal_parts(
    engine: str, layout: Layout, batch: int, quick: bool, sizes: tuple[int, ...]
) -> None:
    assert groups(Setting(engine, layout), batch, quick) == sizes
