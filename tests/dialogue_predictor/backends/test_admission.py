"""How many come in at once, and which are encoded together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue_predictor.backends.admission import (
    SAME_SHAPE,
    STEP_SOURCE_TOKENS,
    cost,
    fits_step,
    groups,
    vacancies,
    worthwhile,
)
from dialogue_predictor.backends.base import GenerationRequest
from dialogue_predictor.decoding.options import GenerationOptions


@pytest.mark.parametrize(
    ("decoding", "waiting", "expected"),
    [
        ([0], 3, [3]),
        ([0], 30, [16]),
        ([14], 30, [2]),
        ([16], 30, [0]),
        ([0, 0], 8, [4, 4]),
        ([0, 0], 1, [1, 1]),
        ([4, 0], 4, [0, 4]),
        ([5, 1], 3, [0, 4]),
        ([16, 16], 50, [0, 0]),
        ([16, 2], 50, [0, 14]),
        ([3, 3, 0], 0, [0, 0, 2]),
    ],
)
def test_a_worker_takes_its_share_and_no_more_than_fit(decoding: list[int], waiting: int, expected: list[int]) -> None:
    found = [vacancies(decoding, worker, waiting, most=16, continuous=True) for worker in range(len(decoding))]
    assert found == expected


def test_static_batches_admit_only_where_nothing_is_decoded() -> None:
    assert [vacancies([1, 0], worker, 5, most=16, continuous=False) for worker in (0, 1)] == [0, 3]


@given(st.lists(st.integers(0, 16), min_size=1, max_size=5), st.integers(1, 60))
def test_whoever_waits_is_taken_unless_all_is_full(decoding: list[int], waiting: int) -> None:
    room = [vacancies(decoding, worker, waiting, most=16, continuous=True) for worker in range(len(decoding))]
    assert any(room) or all(size == 16 for size in decoding)
    assert all(size + more <= 16 for size, more in zip(decoding, room, strict=True))


@given(st.lists(st.integers(1, 300), max_size=40))
def test_groups_hold_each_once_and_little_padding(lengths: list[int]) -> None:
    found = groups(lengths)
    assert sorted(position for group in found for position in group) == list(range(len(lengths)))
    for group in found:
        here = [lengths[position] for position in group]
        assert max(here) <= max(SAME_SHAPE, 2 * min(here))
    assert len(found) <= 4  # up to 64, 129, 259, 519


def test_sources_of_similar_length_are_encoded_together() -> None:
    assert groups([3, 100, 64, 9, 65, 130, 131]) == [[0, 3, 2], [4, 1, 5], [6]]


def test_newcomers_come_in_by_portions_where_others_would_have_to_wait() -> None:
    assert fits_step(0, 10 * STEP_SOURCE_TOKENS, decoding=True)
    assert fits_step(STEP_SOURCE_TOKENS - 5, 5, decoding=True)
    assert not fits_step(STEP_SOURCE_TOKENS - 5, 6, decoding=True)
    assert fits_step(STEP_SOURCE_TOKENS - 5, 6, decoding=False)


def test_beams_count() -> None:
    assert cost(GenerationRequest((5, 6, 7), GenerationOptions(num_beams=4, max_new_tokens=10))) == 43


def test_newcomers_hold_up_others_once_they_have_waited_as_long_as_that_takes() -> None:
    assert worthwhile(0, decoding=0)
    assert worthwhile(1, decoding=2)
    assert not worthwhile(3, decoding=8)
    assert worthwhile(4, decoding=8)
