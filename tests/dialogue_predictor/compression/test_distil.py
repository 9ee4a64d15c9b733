"""Distillation: a student comes nearer to its teacher by each of the losses, whatever their widths."""

import json
import math
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from dialogue_predictor.compression.distil import DistilOptions, distil, mixed, write_teachers_sequences
from dialogue_predictor.compression.distillation import Distillation, DistilWeights, Teacher, encoded, kept_scores
from dialogue_predictor.compression.sequences import (
    SequenceOptions,
    closest,
    fingerprint,
    read_sequences,
    tokens_of,
    write_sequences,
)
from dialogue_predictor.compression.student import inherit, spread
from dialogue_predictor.decoding.outcome import Hypothesis, Outcome
from dialogue_predictor.model.transformer import DialogueTransformer
from dialogue_predictor.training.batches import IGNORE, Batch
from dialogue_predictor.training.data.examples import Example
from dialogue_predictor.training.data.mixture import SHARES
from dialogue_predictor.training.finetune import FinetuneOptions, finetune
from dialogue_predictor.training.loop import LoopOptions, train
from dialogue_predictor.training.observers import Silent
from dialogue_predictor.training.run import open_run
from dialogue_predictor.training.schedule import Schedule
from dialogue_predictor.training.stage import Material
from dialogue_predictor.training.tasks import initialise
from support.tiny_batches import batch_of, examples
from support.tiny_bundles import tiny_tokenizer
from support.tiny_corpora import write_corpora
from support.tiny_models import tiny_config, tiny_model

LOOP = LoopOptions(precision="fp32", report_steps=1000, average_decay=0.9)
SCHEDULE = Schedule(max_steps=70, peak_rate=1e-2, warmup_steps=10)


def student(**changes: object) -> DialogueTransformer:
    torch.manual_seed(3)
    config = tiny_config(**({"d_model": 16, "ffn": 32, "encoder_layers": 1, "decoder_layers": 1} | changes))
    return initialise(DialogueTransformer(config))


@torch.no_grad()
def distance(one: DialogueTransformer, teacher: DialogueTransformer, batch: Batch) -> tuple[float, float]:
    """KL divergence from the teacher, and how often the likeliest tokens differ."""
    kept = batch.target_out != IGNORE
    own, theirs = (
        functional.log_softmax(kept_scores(model.eval(), *encoded(model, batch), batch, kept), dim=-1)
        for model in (one, teacher)
    )
    divergence = functional.kl_div(own, theirs, reduction="batchmean", log_target=True)
    return float(divergence), float((own.argmax(1) != theirs.argmax(1)).float().mean())


def learnt(pupil: DialogueTransformer, teacher: DialogueTransformer, weights: DistilWeights, batch: Batch) -> None:
    def batches(skip: int) -> Iterator[Batch]:
        while True:
            yield batch

    task = Distillation(pupil, Teacher(teacher), weights)
    outcome = train(task, batches, SCHEDULE, LOOP)
    task.load_state_dict(outcome.weights)


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize(("soft", "hard"), [(1.0, 0.0), (0.0, 1.0)])
def test_a_student_of_another_width_comes_nearer_to_its_teacher(soft: float, hard: float, copy: bool) -> None:
    teacher = tiny_model(5, spread=6.0, copy=copy)
    pupil, batch = student(copy=copy), batch_of(examples(12))
    before = distance(pupil, teacher, batch)
    learnt(pupil, teacher, DistilWeights(soft=soft, hard=hard, target=0.0, temperature=2.0), batch)
    after = distance(pupil, teacher, batch)
    if soft:
        assert after[0] < 0.3 * before[0]
    assert after[1] < 0.6 * before[1]


@pytest.mark.parametrize("copy", [False, True])
def test_scores_at_kept_positions_are_those_of_the_whole_model_and_so_are_their_gradients(copy: bool) -> None:
    """Also where a source says a token several times."""
    repeated = [Example((7, 9, 7, 7, 9, 11), (7, 12, 9), "en"), Example((5, 5), (5, 30, 31, 32, 2), "en")]
    model, batch = tiny_model(5, spread=4.0, copy=copy), batch_of([*examples(6), *repeated])
    kept = batch.target_out != IGNORE
    whole = model(batch.source, batch.source_mask, batch.target_in)[kept]
    own = kept_scores(model, *encoded(model, batch), batch, kept)
    assert torch.allclose(own, whole, atol=1e-5)
    weights = torch.randn(own.shape, generator=torch.Generator().manual_seed(1))
    gradients = [torch.autograd.grad((scores * weights).sum(), list(model.parameters())) for scores in (own, whole)]
    assert all(torch.allclose(ours, theirs, rtol=1e-3, atol=1e-3) for ours, theirs in zip(*gradients, strict=True))


def test_the_loss_is_the_weighted_sum_and_the_teacher_stays_out_of_the_state() -> None:
    teacher, pupil, batch = tiny_model(5), student(), batch_of(examples())

    def mean(**weights: float) -> float:
        task = Distillation(pupil, Teacher(teacher), DistilWeights(**({"soft": 0.0, "target": 0.0} | weights)))
        return float(task.train()(batch).mean.detach())

    parts = 0.7 * mean(soft=1.0) + 0.2 * mean(hard=1.0) + 0.1 * mean(target=1.0)
    assert mean(soft=0.7, hard=0.2, target=0.1) == pytest.approx(parts, rel=1e-5)
    task = Distillation(pupil, Teacher(teacher), DistilWeights())
    assert sum(value.numel() for value in task.parameters()) == sum(value.numel() for value in pupil.parameters())
    task.train()(batch).mean.backward()
    assert all(value.grad is None for value in teacher.parameters())


def test_another_vocabulary_is_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match=r"vocab_size is 61 in the student and 60 in the teacher.*same tokenizer"):
        Distillation(student(vocab_size=61), Teacher(tiny_model(5)), DistilWeights())


def test_no_loss_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="--soft-weight, --hard-weight and --target-weight"):
        DistilWeights(soft=0.0, target=0.0)


def test_a_student_of_the_same_width_begins_with_evenly_chosen_layers() -> None:
    assert (spread(6, 3), spread(4, 2), spread(2, 1), spread(4, 4)) == ([0, 2, 5], [0, 3], [0], [0, 1, 2, 3])
    teacher = tiny_model(5, encoder_layers=3)
    pupil = student(d_model=32, ffn=48, encoder_layers=2, decoder_layers=1)
    assert inherit(pupil, teacher) == sum(value.numel() for value in pupil.state_dict().values())
    ours, theirs = pupil.model.encoder.blocks[1].fc1.weight, teacher.model.encoder.blocks[2].fc1.weight
    assert torch.equal(ours, theirs)


def test_a_narrower_student_begins_with_words_that_are_as_alike_as_the_teachers() -> None:
    teacher, pupil = tiny_model(5), student()
    few = torch.randn(60, 16, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():  # all that the teacher's 32 dimensions hold are 16
        few -= few.mean(dim=0)
        teacher.model.shared.weight.copy_(few @ torch.linalg.qr(torch.randn(32, 16))[0].T)
    deviation = float(pupil.model.shared.weight.detach().std())
    assert inherit(pupil, teacher) >= 60 * 16
    words = pupil.model.shared.weight.detach()
    alike = [functional.normalize(rows) @ functional.normalize(rows).T for rows in (few, words)]
    torch.testing.assert_close(alike[1], alike[0], atol=1e-4, rtol=1e-4)
    assert float(words.std()) == pytest.approx(deviation, rel=1e-4)


def test_pointing_counts_where_there_is_a_copy_head() -> None:
    batch = batch_of([Example((7, 9, 7, 11, 2), (9, 11, 2), "en")])
    for copy in (False, True):
        pupil = student(copy=copy)
        losses = [
            Distillation(pupil, Teacher(tiny_model(5, copy=copy)), DistilWeights(pointing=weight)).train()(batch).mean
            for weight in (0.0, 1.0)
        ]
        assert bool(losses[1] > losses[0] + 0.1) is copy


def test_sequences_are_what_the_teacher_says_and_go_on_where_they_stopped(tmp_path: Path) -> None:
    tokenizer, given = tiny_tokenizer(), examples(70)
    options = SequenceOptions(examples=70, num_beams=2, max_new_tokens=6, compute="fp32")
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    assert write_sequences(whole, tiny_model(5), tokenizer, given, options, say=lambda line: None) == 70
    cut.write_bytes(whole.read_bytes()[: len(whole.read_bytes()) // 2])  # in the middle of a line
    assert 0 < write_sequences(cut, tiny_model(5), tokenizer, given, options, say=lambda line: None) < 70
    assert cut.read_bytes() == whole.read_bytes()
    said = read_sequences(cut, tokenizer)
    assert {one.source for one in said} <= {one.source for one in given}
    with pytest.raises(ValueError, match="another teacher"):
        write_sequences(cut, tiny_model(6), tokenizer, given, options)
    assert fingerprint(tiny_model(5)) != fingerprint(tiny_model(6))


def test_the_teachers_sequences_make_a_student_say_what_it_says(tmp_path: Path) -> None:
    given, path = examples(60), tmp_path / "said.jsonl"
    options = SequenceOptions(examples=60, num_beams=4, max_new_tokens=6, compute="fp32")
    write_sequences(path, tiny_model(5), tiny_tokenizer(), given, options, say=lambda line: None)
    said = batch_of(read_sequences(path, tiny_tokenizer()))
    assert len(said) > 8
    pupil, kept = student(), said.target_out != IGNORE

    def mistakes() -> float:
        scores = kept_scores(pupil.eval(), *encoded(pupil, said), said, kept)
        return float((scores.argmax(1) != said.target_out[kept]).float().mean())

    before = mistakes()
    learnt(pupil, tiny_model(5), DistilWeights(soft=0.0, target=1.0), said)
    assert mistakes() < 0.6 * before


def test_an_epoch_exchanges_the_digits_of_the_teachers_replies_too() -> None:
    digits = tuple(range(10, 20))
    said = [Example(digits, digits, "en")] * 40
    material = Material({next(iter(SHARES)): [Example((5,), (6,), "en")]}, [], digits)
    epoch = mixed(material, said, DistilOptions(epoch_examples=60, sequences_share=0.5))(random.Random(0))
    taught = [one for one in epoch if len(one.source) == len(digits)]
    assert len(taught) == 30
    assert 5 < sum(one.source != digits for one in taught) < 25
    assert all(one.source == one.target for one in taught)


def test_of_a_searchs_hypotheses_the_student_gets_the_sound_one_that_is_most_like_a_persons_reply() -> None:
    tokenizer = tiny_tokenizer()

    def said(text: str, *, complete: bool = True) -> Hypothesis:
        return Hypothesis(tuple(tokenizer.encode(text)), 0.0, complete)

    likely, alike, cut = (
        said("yes"),
        said("a table for two is booked"),
        said("a table for 2 is booked now", complete=False),
    )
    people = "a table for 2 is booked now"
    assert closest(Outcome((likely, cut, alike)), people, tokenizer) == alike
    assert closest(Outcome((likely, said("no"))), "好的", tokenizer) == likely
    assert closest(Outcome((cut, said(""))), people, tokenizer) is None


@pytest.mark.parametrize("text", ["", "{}\n", '{"facts": {"tokenizer": "x"}}\n'])
def test_sequences_of_another_tokenizer_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "said.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"said\.jsonl"):
        read_sequences(path, tiny_tokenizer())


def test_a_malformed_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    path.write_text(json.dumps({"facts": {"tokenizer": tokens_of(tiny_tokenizer())}}) + "\n{}\n")
    with pytest.raises(ValueError, match="line 2: not an example"):
        read_sequences(path, tiny_tokenizer())


def test_a_whole_chain_from_teacher_to_student(tmp_path: Path) -> None:
    data = write_corpora(tmp_path / "data")
    size = {"vocab_size": 600, "d_model": 32, "encoder_layers": 2, "decoder_layers": 1, "heads": 2, "ffn": 64}
    loop = LoopOptions(report_steps=10, checkpoint_seconds=math.inf, average_decay=0.9, precision="fp32")
    base: dict[str, Any] = {
        "schedule": Schedule(max_steps=20, peak_rate=5e-3, warmup_steps=4),
        "loop": loop,
        "batch_tokens": 256,
    }
    base |= {"epoch_examples": 60, "threads": 1, "validation_examples": 8}
    finetune(data, tmp_path / "teacher", FinetuneOptions(model=size, **base), observer=Silent())
    said = tmp_path / "said.jsonl"
    asked = SequenceOptions(examples=20, num_beams=1, max_new_tokens=8, compute="fp32")
    stage = FinetuneOptions(threads=1)
    assert write_teachers_sequences(data, said, tmp_path / "teacher", stage, asked, lambda line: None) == 20
    options = DistilOptions(model={"d_model": 16, "encoder_layers": 1}, sequences=said, compared=4, **base)
    distil(data, tmp_path / "student", tmp_path / "teacher", options, observer=Silent())
    run = open_run(tmp_path / "student")
    assert (run.stage, run.config.d_model, run.config.encoder_layers, run.config.ffn) == ("distil", 16, 1, 64)
    told = run.report["compression"]
    assert told["after"]["parameters"] < 0.6 * told["before"]["parameters"]
    assert told["after"]["bytes"] < told["before"]["bytes"]
    assert min(told["after"]["tokens_per_second"], told["after"]["perplexity"]) > 0
    with pytest.raises(FileExistsError):
        distil(data, tmp_path / "student", tmp_path / "teacher", options, observer=Silent())
    other = replace(options, model={"vocab_size": 601})
    with pytest.raises(ValueError, match="vocab_size is 601 in the student and 600 in the teacher"):
        distil(data, tmp_path / "other", tmp_path / "teacher", other, observer=Silent())
