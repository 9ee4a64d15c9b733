"""Intents: which turns are learnt from, and a classifier that learns them and comes back from its run."""

from pathlib import Path

import pytest
import torch

from dialogue_predictor.evaluation.cases import open_corpora
from dialogue_predictor.evaluation.parts.intents import classified
from dialogue_predictor.evaluation.setting import Setting
from dialogue_predictor.evaluation.subject import open_subject
from dialogue_predictor.text.dialogue import Turn
from dialogue_predictor.training.classify import (
    Classification,
    ClassifyOptions,
    classify,
    collate,
    endless,
    labelled_turns,
    load_classifier,
)
from dialogue_predictor.training.data.dialogues import Dialogue, Utterance
from dialogue_predictor.training.loop import LoopOptions
from dialogue_predictor.training.observers import Silent
from dialogue_predictor.training.schedule import Schedule
from support.tiny_bundles import tiny_bundle
from support.tiny_corpora import write_corpora
from support.tiny_intents import write_intents
from support.tiny_models import tiny_model


def options(steps: int = 40) -> ClassifyOptions:
    schedule = Schedule(max_steps=steps, peak_rate=3e-3, warmup_steps=5)
    return ClassifyOptions(schedule=schedule, loop=LoopOptions(precision="fp32", validate_steps=20), threads=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_intents(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("start") / "tiny").folder


@pytest.fixture(scope="module")
def run(data: Path, start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "classifier"
    classify(data, out, options(), start, observer=Silent())
    return out


def test_a_turn_is_labelled_by_its_newest_intent_and_read_after_four_others() -> None:
    turns = (
        *(Utterance("assistant", str(at)) for at in range(5)),
        Utterance("user", "one", intents=("S/A",)),
        Utterance("assistant", "yes"),
        Utterance("user", "both", intents=("S/B", "S/A")),
        Utterance("user", "still both", intents=("S/A", "S/B")),
        Utterance("user", "bye"),
    )
    first, second, third = labelled_turns([Dialogue("d", "sgd", "en", "", turns)])
    assert [turn.text for turn in first.turns] == ["1", "2", "3", "4", "one"]
    assert (first.label, first.labels) == ("S/A", frozenset({"S/A"}))
    assert (second.label, second.labels) == ("S/B", frozenset({"S/A", "S/B"}))
    assert third.label == "S/B"


def test_batches_follow_from_seed_and_number() -> None:
    rows = [((5, *range(10, 10 + at), 2), at % 2) for at in range(1, 40)]
    whole, resumed = endless(rows, seed=3), endless(rows, seed=3, skip=17)
    for _ in range(17):
        next(whole)
    for _ in range(3):
        assert torch.equal(next(whole).source, next(resumed).source)


def test_padding_changes_no_logits() -> None:
    torch.manual_seed(0)
    task = Classification(tiny_model(), classes=3).eval()
    short, long = (5, 10, 11, 2), (5, *range(10, 30), 2)
    alone, beside = collate([(short, 0)]), collate([(short, 0), (long, 1)])
    expected = task.logits(alone.source, alone.source_mask)[0]
    assert torch.allclose(task.logits(beside.source, beside.source_mask)[0], expected, atol=1e-5)


def test_the_decoder_gets_no_gradient_and_the_encoder_does() -> None:
    task = Classification(tiny_model(), classes=2)
    loss = task(collate([((5, 10, 2), 0), ((5, 11, 2), 1)]))
    loss.mean.backward()
    assert int(loss.tokens) == 2
    assert task.model.model.encoder.blocks[0].fc1.weight.grad is not None
    assert all(value.grad is None for value in task.model.model.decoder.parameters())


def test_a_classifier_learns_and_comes_back(run: Path) -> None:
    classifier = load_classifier(run)
    assert classifier.labels == ("Food_1/Book", "Food_1/Find")
    find, book = (
        (Turn("user", "I want to find a restaurant, number 7."),),
        (Turn("user", "Please book a table, number 7."),),
    )
    assert classifier.predict([find, book]) == ["Food_1/Find", "Food_1/Book"]
    assert classifier.predict([find, book], among={"Food_1/Book"}) == ["Food_1/Book"] * 2


def test_evaluation_counts_the_services_of_both_splits(run: Path, data: Path) -> None:
    found = list(classified(Setting(open_corpora(data, 0, 5), {}, classifier=run)))
    assert {figure.of for figure in found} == {12}  # two turns of six dialogues; those of Songs_1 are left out
    accuracy = {figure.value for figure in found if figure.who == "model" and figure.metric == "micro accuracy"}
    assert accuracy == {100.0}


def test_a_run_can_be_evaluated_as_a_bundle_can(run: Path) -> None:
    subject = open_subject(str(run))
    assert subject.facts["name"] == run.name
    assert len(subject.replies([(Turn("user", "Hello."),)])[0].text) > 0


def test_a_finished_run_is_not_overwritten(run: Path, data: Path, start: Path) -> None:
    with pytest.raises(FileExistsError, match="holds a run already"):
        classify(data, run, options(), start, observer=Silent())


def test_data_without_intents_is_refused(start: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no users' turns with two different intents"):
        classify(write_corpora(tmp_path / "data"), tmp_path / "out", options(), start, observer=Silent())


def test_another_run_is_no_classifier(start: Path) -> None:
    with pytest.raises(ValueError, match=r"is no run|not a classifier"):
        load_classifier(start)
