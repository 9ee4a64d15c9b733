"""What tasks add to their objectives: which sequences are read, and what pairs teach."""

import random
from dataclasses import replace

import pytest
import torch

from dialogue_predictor.model.heads import MaskedHead, SiameseHead
from dialogue_predictor.model.vectors import sentence_vectors
from dialogue_predictor.training.batches import Batch, Pairs, collate
from dialogue_predictor.training.data.examples import Example
from dialogue_predictor.training.masking import collate_masked
from dialogue_predictor.training.objectives import info_nce
from dialogue_predictor.training.pairs import IntentPair, collate_pairs, endless_pairs, kind_of, sentence_ids
from dialogue_predictor.training.tasks import ALIGN_TEMPERATURE, Seq2Seq, SimMIM, head_weights, model_weights
from support.tiny_bundles import tiny_tokenizer
from support.tiny_models import tiny_model

EXAMPLES = [Example((5, 9, 10, 2), (7, 8, 2), "en"), Example((5, 11, 2), (7, 2), "en")]
PAIRS = [
    IntentPair((5, 9, 2), (5, 12, 13, 2), "a/one"),
    IntentPair((5, 10, 2), (5, 14, 2), "a/one"),
    IntentPair((5, 11, 2), (5, 15, 2), "b/two"),
]


def simmim(contrast_weight: float, align_weight: float = 0.0) -> SimMIM:
    torch.manual_seed(0)
    model = tiny_model(1, spread=3.0, vocab_size=24)
    heads = MaskedHead(model.config), SiameseHead(model.config.d_model)
    return SimMIM(model, *heads, contrast_weight, temperature=0.1, align_weight=align_weight).eval()


def test_without_contrast_only_the_masked_sequence_is_read() -> None:
    batch = collate_masked([(5, 9, 10, 11, 12, 2), (5, 13, 14, 2)], random.Random(0))
    elsewhere = [place for place in range(batch.original.numel()) if place not in batch.chosen.tolist()]
    changed = batch.original.clone()
    changed.view(-1)[elsewhere] = 20  # what no mask hides: only the contrast looks at it
    other = replace(batch, original=changed)
    alone, both = simmim(0.0), simmim(1.0)
    assert torch.equal(alone(batch).mean, alone(other).mean)
    assert not torch.equal(both(batch).mean, both(other).mean)
    assert torch.equal(both(batch).nll, alone(batch).nll)


def test_the_two_views_of_a_sequence_are_pulled_together() -> None:
    batch = collate_masked([(5, 9 + at, 10 + at, 11, 12 + at, 2) for at in range(6)], random.Random(0))
    task = simmim(1.0)
    optimizer = torch.optim.Adam(task.parameters(), lr=3e-3)
    contrasts = []
    for _ in range(30):
        loss = task(batch).mean
        contrasts.append((loss - simmim_masked(task, batch)).item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert contrasts[-1] < contrasts[0] / 2


def simmim_masked(task: SimMIM, batch: object) -> torch.Tensor:
    weight, task.contrast_weight = task.contrast_weight, 0.0
    mean: torch.Tensor = task(batch).mean
    task.contrast_weight = weight
    return mean


def test_pairs_add_their_weighted_alignment() -> None:
    model = tiny_model(1, spread=3.0, vocab_size=24)
    pairs = collate_pairs(PAIRS)
    plain, aligned = (Seq2Seq(model, align_weight=weight) for weight in (0.0, 0.5))
    batch = collate(EXAMPLES, 1, pairs)
    vectors = [
        sentence_vectors(model, pairs.first, pairs.first_mask),
        sentence_vectors(model, pairs.second, pairs.second_mask),
    ]
    expected = info_nce(vectors[0], vectors[1], ALIGN_TEMPERATURE, pairs.same)
    torch.testing.assert_close(aligned(batch).mean - plain(batch).mean, 0.5 * expected)
    assert torch.equal(aligned(collate(EXAMPLES, 1)).mean, plain(batch).mean)


def test_intents_of_one_kind_are_no_negatives_of_each_other() -> None:
    assert collate_pairs(PAIRS).same.tolist() == [[True, True, False], [True, True, False], [False, False, True]]
    assert kind_of("Restaurants_2/FindRestaurants") == "Restaurants/FindRestaurants"
    assert kind_of("Banks/Pay") == "Banks/Pay"


def test_pairs_go_on_after_a_skip_and_rare_intents_come_as_often() -> None:
    pairs = [PAIRS[0]] * 50 + [PAIRS[2]]
    stream = endless_pairs(pairs, rows=16, seed=0)
    whole = [next(stream).first.tolist() for _ in range(30)]
    assert next(endless_pairs(pairs, rows=16, seed=0, skip=7)).first.tolist() == whole[7]
    rare = sum(row[1] == 11 for batch in whole for row in batch) / (30 * 16)
    assert 0.4 < rare < 0.6


def test_a_sentence_alone_is_a_users_turn() -> None:
    tokenizer = tiny_tokenizer()
    ids = sentence_ids("hello there, how are you today?", tokenizer, longest=4)
    assert len(ids) == 4
    assert tokenizer.decode(ids[1:-1]) in "hello there, how are you today?"


@pytest.mark.parametrize("rows", [slice(0, 1), slice(1, 2)])
def test_rows_of_a_batch_count_for_themselves_and_keep_all_pairs(rows: slice) -> None:
    batch = collate(EXAMPLES, 1, collate_pairs(PAIRS))
    part = batch.rows(rows)
    alone = collate(EXAMPLES[rows], 1)
    assert (part.units, part.tokens) == (alone.units, alone.tokens)
    assert part.pairs is batch.pairs


def test_what_is_on_a_device_goes_there_together() -> None:
    def devices(batch: Batch | Pairs) -> set[str]:
        tensors = [getattr(batch, name) for name in batch.__slots__]
        return {value.device.type for value in tensors if isinstance(value, torch.Tensor)}

    moved = collate(EXAMPLES, 1, collate_pairs(PAIRS)).to(torch.device("meta"))
    assert moved.pairs is not None
    assert devices(moved) == devices(moved.pairs) == {"meta"}
    assert moved.units == 5


def test_a_tasks_weights_are_the_models_and_the_heads() -> None:
    state = simmim(1.0).state_dict()
    assert model_weights(state).keys() == tiny_model(1, vocab_size=24).state_dict().keys()
    assert {name.split(".")[0] for name in head_weights(state)} == {"masked_head", "siamese_head"}
