"""The schedule, the loss, the average and the checkpoint, each against arithmetic or torch's own."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import count, repeat
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from dialogue_predictor.model.transformer import DialogueTransformer
from dialogue_predictor.training.batches import Batch, collate
from dialogue_predictor.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from dialogue_predictor.training.examples import Example
from dialogue_predictor.training.loop import (
    LoopOptions,
    Schedule,
    fresh_average,
    make_optimizer,
    train,
    update_average,
)
from dialogue_predictor.training.objectives import (
    Loss,
    bag_of_words,
    cross_entropy,
    mean_state,
    sequence_to_sequence,
)
from support.tiny_models import tiny_model

BATCH = collate([Example((5, 9, 2), (7, 8, 2), "en"), Example((5, 2), (7, 2), "en")], decoder_start_id=1)
SCHEDULE = Schedule(max_steps=100, peak_rate=1.0, final_rate=0.1, warmup_steps=10)


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.1), (4, 0.5), (50, 0.55), (100, 0.1)],
    ids=["starts small", "rises by steps", "half way between peak and final", "ends at the final rate"],
)
def test_the_rate(step: int, rate: float) -> None:
    assert SCHEDULE.rate(Progress(step)) == pytest.approx(rate, abs=5e-3)


def test_minutes_count_as_much_as_steps() -> None:
    timed = replace(SCHEDULE, max_seconds=200.0)
    assert timed.spent(Progress(10, 100.0)) == 0.5
    assert timed.rate(Progress(10, 100.0)) == pytest.approx(0.55)
    assert timed.spent(Progress(10, 300.0)) == 1.0


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_torchs(smoothing: float) -> None:
    logits, targets = torch.randn(20, 30), torch.randint(0, 30, (20,))
    loss = cross_entropy(logits, targets, smoothing)
    expected = functional.cross_entropy(logits, targets, label_smoothing=smoothing)
    assert loss.mean.item() == pytest.approx(expected.item(), rel=1e-5)
    assert loss.nll == pytest.approx(functional.cross_entropy(logits, targets, reduction="sum").item(), rel=1e-5)
    assert loss.tokens == 20


def test_padding_neither_adds_to_the_loss_nor_changes_it() -> None:
    model = tiny_model(seed=1, vocab_size=20).eval()
    together = sequence_to_sequence(model, BATCH)
    alone = [
        sequence_to_sequence(model, collate([one], decoder_start_id=1))
        for one in (Example((5, 9, 2), (7, 8, 2), "en"), Example((5, 2), (7, 2), "en"))
    ]
    assert together.tokens == 5
    assert together.nll == pytest.approx(sum(loss.nll for loss in alone), rel=1e-5)


def test_the_bag_of_words_counts_each_word_of_a_reply_and_no_padding() -> None:
    logits = torch.randn(2, 20)
    logs = torch.log_softmax(logits, dim=-1)
    expected = -(logs[0, 7] + logs[0, 8] + logs[0, 2] + logs[1, 7] + logs[1, 2]) / 5
    assert bag_of_words(logits, BATCH.target_out).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_state_of_a_source_is_the_mean_of_its_tokens() -> None:
    memory = torch.arange(12.0).view(2, 3, 2)
    mask = torch.tensor([[True, True, True], [True, False, False]])
    assert mean_state(memory, mask).tolist() == [[2.0, 3.0], [6.0, 7.0]]


def test_the_bag_of_words_teaches_the_encoder_even_when_the_decoder_does_not_listen() -> None:
    model = tiny_model(seed=1, vocab_size=20)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.endswith("encoder_attn.out_proj.weight"):
                value.zero_()
    taught = model.get_parameter("model.encoder.layers.0.fc1.weight")
    torch.autograd.backward(sequence_to_sequence(model, BATCH).mean)
    assert taught.grad is not None
    assert not taught.grad.any()
    torch.autograd.backward(sequence_to_sequence(model, BATCH, bag_weight=1.0).mean)
    assert taught.grad.any()


def test_the_average_follows_the_weights() -> None:
    model = tiny_model(seed=1, vocab_size=20)
    average = fresh_average(model)
    before = average["model.shared.weight"].clone()
    with torch.no_grad():
        model.model.shared.weight.add_(1.0)
    update_average(average, model, decay=0.75)
    assert torch.allclose(average["model.shared.weight"], before + 0.25)


def test_decay_is_for_matrices_only() -> None:
    decayed, others = make_optimizer(tiny_model(seed=1, vocab_size=20), 0.01).param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.01, 0.0)
    assert {value.dim() for value in decayed["params"]} == {2}
    assert {value.dim() for value in others["params"]} == {1}


def run_for(schedule: Schedule, clock: Callable[[], float], lines: list[str]) -> Progress:
    model = tiny_model(seed=1, vocab_size=20)

    def objective(trained: DialogueTransformer, batch: Batch) -> Loss:
        return sequence_to_sequence(trained, batch)

    return train(
        model,
        make_optimizer(model, 0.0),
        fresh_average(model),
        repeat(BATCH),
        objective,
        schedule,
        LoopOptions(report_steps=2),
        Progress(),
        report=lines.append,
        clock=clock,
    )


def test_the_budget_of_time_ends_a_run() -> None:
    ticks = count()
    lines: list[str] = []
    progress = run_for(replace(SCHEDULE, max_steps=10_000, max_seconds=30), lambda: float(next(ticks)), lines)
    assert progress.seconds >= 30
    assert progress.step < 31
    assert "min left" in lines[0]


def test_the_loss_on_one_batch_falls() -> None:
    lines: list[str] = []
    run_for(replace(SCHEDULE, max_steps=60, peak_rate=1e-2, final_rate=1e-3), lambda: 0.0, lines)
    losses = [float(line.split("loss")[1].split()[0]) for line in lines]
    assert losses[-1] < 0.3 < math.log(20) / 2 < losses[0]


def test_a_checkpoint_replaces_the_one_before_and_survives_being_cut_off(tmp_path: Path) -> None:
    model = tiny_model(seed=1, vocab_size=20)
    optimizer = make_optimizer(model, 0.0)
    for step in (1, 2):
        save_checkpoint(tmp_path / "run", model, fresh_average(model), optimizer, Progress(step), {"seed": 0})
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]
    assert load_checkpoint(tmp_path / "run", model, optimizer, {"seed": 0})[0] == Progress(2)
    (tmp_path / "run").rename(tmp_path / ".run.old")  # killed between its two renames
    assert load_checkpoint(tmp_path / "run", model, optimizer, {"seed": 0})[0] == Progress(2)
