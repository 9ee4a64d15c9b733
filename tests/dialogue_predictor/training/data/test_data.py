"""Reading, splitting, mixing, cutting and batching dialogues."""

import random
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dialogue_predictor.text.special import EOS_ID, ROLE_IDS
from dialogue_predictor.training.batches import IGNORE, bucketed, collate, endless
from dialogue_predictor.training.data.corpora import read_corpora
from dialogue_predictor.training.data.dialogues import Dialogue, Utterance
from dialogue_predictor.training.data.examples import Example, Limits, draw_epoch, encode_all, examples_of
from dialogue_predictor.training.data.greetings import greetings
from dialogue_predictor.training.data.mixture import read_mixture
from support.tiny_bundles import tiny_tokenizer
from support.tiny_corpora import dialogue, write_corpora, write_jsonl

LENGTHS = st.tuples(st.integers(2, 60), st.integers(1, 40))
EXAMPLES = st.lists(LENGTHS, min_size=1).map(
    lambda sizes: [Example((9,) * source, (9,) * target, "en") for source, target in sizes]
)


def test_a_corpus_with_a_validation_file_keeps_it_and_the_others_are_split(tmp_path: Path) -> None:
    splits = read_corpora(write_corpora(tmp_path))
    train = {one.id for one in splits["train"]}
    validation = {one.id for one in splits["validation"]}
    assert "d0" in validation
    assert {"t0", "t1", "t2", "t3"} <= train
    assert not train & validation
    assert 1 <= len(validation - {"d0"}) <= 20  # of forty with a share of one fifth


def test_the_split_of_a_dialogue_depends_on_its_name_alone(tmp_path: Path) -> None:
    before = {one.id for one in read_corpora(write_corpora(tmp_path))["validation"]}
    more = [dialogue(f"z{at}", "zh", "你好", "您好") for at in reversed(range(80))]
    write_jsonl(tmp_path / "crosswoz/dev.jsonl.gz", more)
    after = {one.id for one in read_corpora(tmp_path)["validation"]}
    assert before <= after


def test_every_reply_becomes_a_target_after_its_history() -> None:
    turns = (Utterance("user", "a"), Utterance("assistant", "b"), Utterance("user", "c"), Utterance("assistant", "d"))
    tokenizer = tiny_tokenizer()
    first, second = examples_of(Dialogue("x", "sgd", "en", "", turns), tokenizer, Limits())
    user, assistant = ROLE_IDS["user"], ROLE_IDS["assistant"]
    a, b, c, d = (tokenizer.encode(turn.text)[0] for turn in turns)
    assert first == Example((user, a, EOS_ID), (b, EOS_ID), "en")
    assert second == Example((user, c, assistant, b, user, a, EOS_ID), (d, EOS_ID), "en")


def test_a_dialogue_that_the_assistant_opens_starts_with_its_second_reply() -> None:
    turns = (Utterance("assistant", "hello"), Utterance("user", "hi"), Utterance("assistant", "bye"))
    assert len(list(examples_of(Dialogue("x", "sgd", "en", "", turns), tiny_tokenizer(), Limits()))) == 1


def test_long_histories_and_replies_are_cut_to_their_limits() -> None:
    turns = (Utterance("user", "hello " * 99), Utterance("assistant", "bye " * 99))
    limits = Limits(max_source_tokens=20, max_target_tokens=10)
    (example,) = encode_all([Dialogue("x", "sgd", "en", "", turns)], tiny_tokenizer(), limits)
    assert (len(example.source), len(example.target)) == (20, 10)
    assert example.target[-1] != EOS_ID  # cut, so that no end is learnt there


def test_an_epoch_has_the_shares_that_were_asked_for() -> None:
    parts = {name: [Example((9,), (at,), "en") for at in range(size)] for name, size in (("a", 7), ("b", 1000))}
    epoch = draw_epoch(parts, {"a": 0.5, "b": 0.3, "absent": 0.2}, 400, random.Random(0))
    assert len(epoch) == 400
    few = [sum(example is one for example in epoch) for one in parts["a"]]
    assert sum(few) == 250
    assert max(few) - min(few) <= 1
    assert len({id(example) for example in epoch} - {id(one) for one in parts["a"]}) == 150


@given(EXAMPLES, st.integers(100, 400))
def test_batches_hold_every_example_once_within_the_bound(examples: list[Example], bound: int) -> None:
    batches = bucketed(examples, bound, random.Random(0))
    assert sorted(id(one) for batch in batches for one in batch) == sorted(map(id, examples))
    for batch in batches:
        whole = collate(batch, decoder_start_id=1)
        assert len(batch) == 1 or whole.source.numel() + whole.target_in.numel() <= bound


@given(EXAMPLES, st.integers(400, 4000))
def test_batches_have_few_shapes(examples: list[Example], bound: int) -> None:
    batches = [collate(batch, decoder_start_id=1) for batch in bucketed(examples, bound, random.Random(0))]
    assert {len(batch) % 8 for batch in batches if len(batch) > 8} <= {0, len(examples) % 8}
    assert sum(len(batch) % 8 != 0 for batch in batches if len(batch) > 8) <= 1  # the last of a pool
    assert all(batch.source.shape[1] % 16 == 0 and batch.target_in.shape[1] % 8 == 0 for batch in batches)


def test_the_padding_of_a_cut_source_stays_within_the_models_positions() -> None:
    turns = (Utterance("user", "hello " * 99), Utterance("assistant", "bye"))
    (example,) = encode_all([Dialogue("x", "sgd", "en", "", turns)], tiny_tokenizer(), Limits().within(40))
    assert collate([example], decoder_start_id=1).source.shape[1] == 32


@pytest.mark.parametrize("skip", [0, 1, 5, 13])
def test_batches_after_a_skip_are_those_of_the_whole(skip: int) -> None:
    examples = [Example((9,) * (at % 7 + 2), (9, EOS_ID), "en") for at in range(50)]

    def take(start: int) -> list[list[Example]]:
        batches = endless(lambda draw: draw.sample(examples, 40), 64, seed=3, skip=start)
        return [batch for _, batch in zip(range(20 - start), batches, strict=False)]

    assert take(skip) == take(0)[skip:]


def test_a_batch_shifts_its_targets_and_hides_its_padding() -> None:
    batch = collate([Example((5, 9, 2), (7, 8, 2), "en"), Example((5, 2), (7, 2), "en")], decoder_start_id=1)
    assert batch.source_mask.sum(1).tolist() == [3, 2]
    assert batch.target_in[:, :3].tolist() == [[1, 7, 8], [1, 7, 0]]
    assert batch.target_out[:, :3].tolist() == [[7, 8, 2], [7, 2, IGNORE]]
    assert torch.equal(batch.source == 0, ~batch.source_mask)


def test_our_own_exchanges_speak_both_languages() -> None:
    topics = {(one.language, one.topic) for one in greetings()}
    assert {("en", "hello"), ("zh", "hello"), ("en", "thanks"), ("zh", "thanks")} <= topics


def test_the_mixture_trains_on_nothing_that_validates(tmp_path: Path) -> None:
    mixture = read_mixture(write_corpora(tmp_path), seed=0)
    trained = {one.id for part in mixture.parts.values() for one in part}
    assert mixture.validation
    assert not trained & {one.id for one in mixture.validation}
