"""What is masked: how much, where, and never what is not said."""

import random

import torch
from hypothesis import given
from hypothesis import strategies as st

from dialogue_predictor.text.special import MASK_ID, SPECIAL_TOKENS
from dialogue_predictor.training.masking import LEAST, MOST, collate_masked, maskable, masked_batches, spans

FIRST = len(SPECIAL_TOKENS)
SOURCES = st.lists(st.integers(0, 40), min_size=1, max_size=60).filter(lambda ids: max(ids) >= FIRST)


@given(SOURCES, st.integers(0, 99))
def test_a_share_of_the_words_is_masked_and_nothing_else(source: list[int], seed: int) -> None:
    places, words = spans(source, random.Random(seed)), maskable(source)
    assert set(places) <= set(words)
    assert len(places) == len(set(places))
    assert round(LEAST * len(words)) <= len(places) <= max(1, round(MOST * len(words)))


def test_masks_come_in_spans() -> None:
    source = list(range(FIRST, FIRST + 400))
    runs = []
    for seed in range(20):
        places = spans(source, random.Random(seed))
        runs.append(len(places) / sum(place - 1 not in places for place in places))
    assert 2.5 < sum(runs) / len(runs) < 6  # tokens in a row; drawn one by one it would be 1.3


def test_a_batch_hides_the_chosen_and_leaves_the_rest() -> None:
    sources = [tuple(range(FIRST, FIRST + size)) for size in (5, 20, 11)]
    batch = collate_masked(sources, random.Random(0))
    flat = batch.masked.flatten()
    assert (flat[batch.chosen] == MASK_ID).all()
    untouched = torch.ones_like(flat, dtype=torch.bool)
    untouched[batch.chosen] = False
    assert torch.equal(flat[untouched], batch.original.flatten()[untouched])
    assert batch.mask.flatten()[batch.chosen].all()
    assert (batch.units, batch.tokens) == (len(batch.chosen), 36)


def test_rows_of_a_batch_keep_their_own_masks() -> None:
    sources = [tuple(range(FIRST, FIRST + size)) for size in (5, 20, 11)]
    batch = collate_masked(sources, random.Random(0))
    parts = [batch.rows(slice(0, 1)), batch.rows(slice(1, 3))]
    assert sum(part.units for part in parts) == batch.units
    assert sum(part.tokens for part in parts) == batch.tokens
    hidden = torch.cat([part.original.flatten()[part.chosen] for part in parts])
    assert torch.equal(hidden, batch.original.flatten()[batch.chosen])


def test_the_same_masks_come_again_after_a_skip() -> None:
    lists = [[tuple(range(FIRST, FIRST + 9 + number))] for number in range(6)]
    nothing = iter([None] * 99)
    whole = [batch.chosen.tolist() for batch in masked_batches(lists, seed=3, skip=0, pairs=nothing)]
    rest = [batch.chosen.tolist() for batch in masked_batches(lists[4:], seed=3, skip=4, pairs=nothing)]
    assert rest == whole[4:]
