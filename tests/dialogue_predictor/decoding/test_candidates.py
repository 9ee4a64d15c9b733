"""The fast way to each source's best continuations finds what the slow way finds."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dialogue_predictor.decoding.beam import ABSENT, BeamState, begin
from dialogue_predictor.decoding.candidates import BLOCK, ROWS, candidates, greatest
from dialogue_predictor.decoding.constraints import repeats
from dialogue_predictor.decoding.options import GenerationOptions, TokenIds
from dialogue_predictor.decoding.rules import Rules
from dialogue_predictor.decoding.tails import Past

CPU = torch.device("cpu")
IDS = TokenIds(start=2, eos=2, pad=0)
VOCABULARIES = [2, 40, BLOCK, BLOCK + 1, 3 * BLOCK, 5 * BLOCK - 1]


def random_scores(rows: int, vocabulary: int, seed: int) -> Tensor:
    return torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(seed)).log_softmax(dim=1)


def live_scores(batch: int, beams: int, seed: int) -> Tensor:
    scores = 3 * torch.randn(batch, beams, generator=torch.Generator().manual_seed(seed + 1))
    return scores.sort(dim=1, descending=True).values


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("beams", [1, 4, 16])
def test_the_best_lie_in_the_best_blocks(beams: int, vocabulary: int) -> None:
    scores, live = random_scores(3 * beams, vocabulary, beams), live_scores(3, beams, beams)
    sums, parents, tokens = greatest(scores, live, beams)
    totals = (scores.view(3, beams, -1) + live[:, :, None]).flatten(1)
    expected, places = totals.topk(2 * beams)
    assert torch.equal(sums, expected)
    assert torch.equal(parents * vocabulary + tokens, places)


@pytest.mark.parametrize("vocabulary", VOCABULARIES[1:])
def test_in_the_first_step_one_beam_stands_for_all(vocabulary: int) -> None:
    scores = random_scores(3, vocabulary, 5)
    live = torch.tensor([[0.0, *[ABSENT] * 3]] * 3)
    sums, parents, tokens = greatest(scores, live, 1)
    expected, places = scores.topk(8)
    assert torch.equal(sums, expected)
    assert torch.equal(tokens, places)
    assert not parents.any()


def test_what_is_no_number_is_found_wherever_it_stands() -> None:
    for place in (0, BLOCK, 2 * BLOCK + 3):
        scores = random_scores(4, 2 * BLOCK + 5, 1)
        scores[2, place] = math.nan
        sums, _, _ = greatest(scores, torch.zeros(2, 2), 2)
        assert sums.isnan().any(dim=1).tolist() == [False, True]


@pytest.mark.parametrize(
    ("said", "size", "expected"),
    [
        ([7, 8, 9, 7], 2, {8}),
        ([7, 8], 1, {2, 7, 8}),
        ([7, 8, 7, 8], 3, {7}),
        ([7, 8], 4, set()),
        ([2, 5, 2], 2, {2, 5}),
    ],
)
def test_tokens_that_would_repeat_an_ngram(said: list[int], size: int, expected: set[int]) -> None:
    """The start token counts; what stands behind the steps does not."""
    past = Past(torch.tensor([[IDS.start, *said, 30, 31, 7, 33]]), torch.tensor([len(said)]))
    tokens, marked = repeats(past, size)
    assert set(tokens[marked].tolist()) == expected


def test_few_rows_at_a_time_find_what_all_at_once_find() -> None:
    """With every option that looks at a source's own past, seed or crowd."""
    options = GenerationOptions(
        num_beams=4,
        max_new_tokens=9,
        min_new_tokens=6,
        no_repeat_ngram=2,
        repetition_penalty=1.3,
        bad_words=((5, 6), (9,)),
        forced_eos_id=2,
        sample=True,
        facts=((5, 7, 9), (7, 5, 8)),
    )
    batch = ROWS // 4 + 7
    dice = torch.Generator().manual_seed(0)
    state = begin(range(batch), options, IDS, CPU)
    state = replace(
        state,
        steps=torch.randint(0, 9, (batch,), generator=dice),
        live_tokens=torch.randint(3, 12, state.live_tokens.shape, generator=dice),
        live_scores=live_scores(batch, 4, 0),
    )
    hidden, weight = torch.randn(batch, 4, 8, generator=dice), torch.randn(100, 8, generator=dice)
    rules = Rules.of(options, IDS, CPU)
    seen: list[int] = []

    def project(rows: Tensor) -> Tensor:
        seen.append(len(rows))
        return rows @ weight.T

    together = candidates(project, hidden, state, rules)
    assert len(seen) == 2
    assert max(seen) <= ROWS
    for source in range(batch):
        own = BeamState(**{name: value[source : source + 1] for name, value in vars(state).items()})
        alone = candidates(project, hidden[source : source + 1], own, rules)
        torch.testing.assert_close(alone.scores[0], together.scores[source])
        there = alone.scores[0].isfinite()
        assert torch.equal(alone.tokens[0][there], together.tokens[source][there])
        assert torch.equal(alone.parents[0][there], together.parents[source][there])
