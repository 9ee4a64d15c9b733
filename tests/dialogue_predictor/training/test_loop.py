"""The loop against arithmetic and against itself: cut, repeated, accumulated, stopped."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any

import pytest
import torch

from dialogue_predictor.training.batches import Batch, collate
from dialogue_predictor.training.data.examples import Example
from dialogue_predictor.training.loop import LoopOptions, Outcome, train
from dialogue_predictor.training.objectives import Loss
from dialogue_predictor.training.observers import Point, Silent
from dialogue_predictor.training.optimizer import averaged, fresh_average, make_optimizer, update_average
from dialogue_predictor.training.schedule import Progress, Schedule
from dialogue_predictor.training.tasks import Seq2Seq
from support.tiny_models import tiny_model

ROWS = tuple(
    Example((5, *(9 + (at * step) % 11 for at in range(1 + step)), 2), (7 + step, 8, 2), "en") for step in range(8)
)
BATCHES = tuple(collate(ROWS[at : at + 2], decoder_start_id=1) for at in range(0, 8, 2))
SCHEDULE = Schedule(max_steps=12, peak_rate=5e-3, final_rate=1e-3, warmup_steps=3)
OPTIONS = LoopOptions(precision="fp32", report_steps=1, checkpoint_seconds=math.inf, average_decay=0.9)


class Halted(Exception):
    """A run that died."""


class HaltAt(Silent):
    def __init__(self, step: int) -> None:
        self.step = step

    def measure(self, point: Point, progress: Progress, schedule: Schedule) -> None:
        if point.step == self.step:
            raise Halted


def task_of(dropout: float = 0.1, seed: int = 1) -> Seq2Seq:
    return Seq2Seq(tiny_model(seed, spread=3.0, vocab_size=24, dropout=dropout), smoothing=0.1, bag_weight=0.5)


def batches(skip: int) -> Iterator[Batch]:
    return islice(cycle(BATCHES), skip, None)


def losses(outcome: Outcome) -> list[float | None]:
    return [point.loss for point in outcome.history]


def differing(one: Outcome, other: Outcome) -> list[str]:
    assert one.weights.keys() == other.weights.keys()
    return [name for name, value in one.weights.items() if not torch.equal(value, other.weights[name])]


def run(task: Seq2Seq | None = None, **changes: Any) -> Outcome:
    return train(task or task_of(), batches, SCHEDULE, replace(OPTIONS, **changes))


def test_a_seeded_run_repeats_to_the_bit_and_another_seed_does_not() -> None:
    first, again, other = run(), run(), run(seed=1)
    assert losses(first) == losses(again)
    assert differing(first, again) == []
    assert losses(first) != losses(other)


@pytest.mark.parametrize(
    "changes",
    [{}, {"accumulate": 3}, {"precision": "bf16"}, {"precision": "fp16"}, {"patience": 9, "validate_steps": 2}],
    ids=["plain", "accumulating", "bf16", "fp16 with its scaler", "with patience"],
)
def test_a_run_that_died_goes_on_to_the_very_same_bits(changes: dict[str, Any], tmp_path: Path) -> None:
    options = replace(OPTIONS, checkpoint_seconds=0, report_steps=2, **changes)

    def leg(folder: Path, observer: Silent) -> Outcome:
        held_out = BATCHES[:1]
        checkpoint = (folder, {"seed": 0})
        return train(
            task_of(), batches, SCHEDULE, options, validation=held_out, checkpoint=checkpoint, observer=observer
        )

    whole = leg(tmp_path / "whole", Silent())
    for step in (6, 10):  # dies twice, after steps 5 and 9 were saved: in the middle between two points
        with pytest.raises(Halted):
            leg(tmp_path / "cut", HaltAt(step))
    resumed = leg(tmp_path / "cut", Silent())
    assert losses(resumed) == losses(whole)
    assert [point.validation for point in resumed.history] == [point.validation for point in whole.history]
    assert differing(whole, resumed) == []
    assert resumed.progress.tokens == whole.progress.tokens


def test_accumulated_batches_are_one_large_batch() -> None:
    def whole(skip: int) -> Iterator[Batch]:
        return iter([collate(ROWS, decoder_start_id=1)] * 99)

    schedule = replace(SCHEDULE, max_steps=3)
    small = train(task_of(dropout=0), batches, schedule, replace(OPTIONS, accumulate=4))
    large = train(task_of(dropout=0), whole, schedule, OPTIONS)
    assert losses(small) == pytest.approx(losses(large), rel=1e-6)
    for name, value in large.weights.items():
        torch.testing.assert_close(small.weights[name], value, rtol=1e-4, atol=2e-5)


def test_unequal_batches_count_by_their_units() -> None:
    uneven = [Example((5, 9, 2), (7, 8, 9, 10, 11, 2), "en"), Example((5, 2), (2,), "en")]
    gradients = []
    for parts in ([uneven], [[one] for one in uneven]):
        stepped = task_of(dropout=0)
        micro = [collate(part, decoder_start_id=1) for part in parts]
        train(
            stepped,
            lambda skip, micro=micro: cycle(micro),  # type: ignore[misc]
            replace(SCHEDULE, max_steps=1),
            replace(OPTIONS, accumulate=len(micro), clip_norm=math.inf, weight_decay=0),
        )
        gradients.append(stepped.state_dict())
    for name, value in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], value, rtol=1e-3, atol=2e-5)


class Scripted(torch.nn.Module):
    """Learns a constant drift; its validation loss is what a script says, one after the other."""

    def __init__(self, script: Sequence[float]) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(2))
        self.script = iter(script)

    def forward(self, batch: Batch) -> Loss:
        nll = torch.tensor(1.0 if self.training else next(self.script)) * batch.units
        return Loss(-self.weight.sum(), nll, torch.tensor(batch.units))


def test_patience_ends_a_run_with_the_best_weights() -> None:
    def leg(script: Sequence[float], steps: int, patience: int | None) -> Outcome:
        options = replace(OPTIONS, validate_steps=2, patience=patience)
        return train(Scripted(script), batches, replace(SCHEDULE, max_steps=steps), options, validation=BATCHES[:1])

    stopped = leg([3.0, 1.0, 2.0, 1.5, 0.1], steps=50, patience=2)
    assert stopped.progress.step == 8
    assert [point.validation for point in stopped.history if point.validation] == pytest.approx([3.0, 1.0, 2.0, 1.5])
    assert stopped.report["validation_loss"] == pytest.approx(1.0)
    unstopped = leg([3.0, 1.0, 2.0, 1.5, 0.1], steps=10, patience=None)
    assert unstopped.progress.step == 10
    assert stopped.weights["weight"][0] < unstopped.weights["weight"][0]
    best = stopped.weights["weight"][0]  # of step 4 of eight, though the schedule knows of fifty
    assert 0 < best < 4 * SCHEDULE.peak_rate


def test_half_precision_is_scaled_and_a_step_that_overflows_is_skipped() -> None:
    class Overflowing(Seq2Seq):
        steps = 0

        def forward(self, batch: Batch) -> Loss:
            loss = super().forward(batch)
            self.steps += 1
            return loss._replace(mean=loss.mean * torch.inf) if self.steps == 2 else loss

    task = Overflowing(tiny_model(1, spread=3.0, vocab_size=24))
    outcome = train(task, batches, SCHEDULE, replace(OPTIONS, precision="fp16"))
    assert all(bool(value.isfinite().all()) for value in outcome.weights.values())
    first, last = (sum(loss or 0.0 for loss in part) for part in (losses(outcome)[:4], losses(outcome)[-4:]))
    assert last < first


def test_a_loss_that_is_no_number_ends_the_run_in_one_sentence() -> None:
    class Diverging(Seq2Seq):
        def forward(self, batch: Batch) -> Loss:
            return super().forward(batch)._replace(nll=torch.tensor(math.nan))

    with pytest.raises(ValueError, match="the loss at step 1 is nan: choose a lower learning rate"):
        run(Diverging(tiny_model(1, vocab_size=24)))


def test_the_budget_of_time_ends_a_run() -> None:
    ticks = count()
    clock: Callable[[], float] = lambda: float(next(ticks))  # noqa: E731
    outcome = train(task_of(), batches, replace(SCHEDULE, max_steps=10_000, max_seconds=30), OPTIONS, clock=clock)
    assert outcome.progress.seconds >= 30
    assert outcome.progress.step < 31


def test_the_loss_on_a_few_batches_falls() -> None:
    schedule = replace(SCHEDULE, max_steps=150, peak_rate=1e-2)
    outcome = train(task_of(dropout=0), batches, schedule, OPTIONS)
    seen = [loss or 0.0 for loss in losses(outcome)]
    assert sum(seen[-4:]) / 4 < 0.6 < math.log(24) / 2 < sum(seen[:4]) / 4


def test_the_report_adds_up() -> None:
    report = run().report
    assert report["steps"] == len(report["history"]) == 12
    assert report["tokens"] == 3 * sum(batch.tokens for batch in BATCHES)
    assert report["tokens_per_second"] == pytest.approx(report["tokens"] / report["seconds"], rel=0.2)
    assert report["peak_memory_bytes"] > 10_000_000


def test_the_average_follows_the_weights() -> None:
    task = task_of()
    average = fresh_average(task)
    before = average["model.model.shared.weight"].clone()
    with torch.no_grad():
        task.model.model.shared.weight.add_(1.0)
    update_average(average, task, decay=0.75)
    torch.testing.assert_close(average["model.model.shared.weight"], before + 0.25)


def test_a_validation_with_averaged_weights_leaves_no_trace() -> None:
    task = task_of().train()
    before = fresh_average(task)
    with averaged(task, {name: torch.zeros_like(value) for name, value in before.items()}):
        assert not task.training
        assert not task.model.model.shared.weight.any()
    assert task.training
    assert all(torch.equal(value, before[name]) for name, value in task.state_dict().items())


def test_decay_is_for_matrices_but_those_of_positions() -> None:
    task = task_of()
    names = {value: name for name, value in task.named_parameters()}
    decayed, others = make_optimizer(task, 0.01).param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.01, 0.0)
    assert not [name for value in decayed["params"] if "norm" in (name := names[value]) or "bias" in name]
    assert {names[value] for value in others["params"] if value.dim() > 1} == {
        "model.model.encoder.embed_positions.weight",
        "model.model.decoder.embed_positions.weight",
    }
    assert len(decayed["params"]) + len(others["params"]) == len(names)


def test_what_is_frozen_is_not_trained() -> None:
    task = task_of()
    task.model.model.encoder.requires_grad_(False)
    before = fresh_average(task)
    run(task)
    moved = {name for name, value in task.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert not [name for name in moved if ".encoder.layers" in name]
