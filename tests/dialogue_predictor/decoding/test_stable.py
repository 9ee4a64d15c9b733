"""What is streamed is never taken back: the settled tokens joined are the final reply."""

import random
from dataclasses import replace

import pytest
import torch

from dialogue_predictor.decoding.beam import begin
from dialogue_predictor.decoding.options import GenerationOptions, TokenIds
from dialogue_predictor.decoding.search import Search, decode
from dialogue_predictor.decoding.stable import stable_lengths
from support.tiny_models import random_options, random_sources, tiny_engine


@pytest.mark.parametrize("seed", range(60))
def test_streamed_tokens_joined_are_the_reply(seed: int) -> None:
    dice = random.Random(seed)
    engine, ids = tiny_engine(seed, eos_bias=dice.choice([-2.0, 2.0, 4.0]))
    options = random_options(dice, max_new_tokens=dice.randint(1, 24))
    sources = random_sources(dice, dice.randint(1, 4))
    expected = decode(engine, sources, options, ids)

    search = Search(engine, options, ids)
    search.admit(sources, watched=range(len(sources)))
    streamed: dict[int, list[int]] = {source: [] for source in range(len(sources))}
    outcomes = {}
    while search.active:
        for progress in search.advance():
            assert progress.source not in outcomes, "news after the outcome"
            streamed[progress.source] += progress.tokens
            if progress.outcome is not None:
                outcomes[progress.source] = progress.outcome

    for source, outcome in outcomes.items():
        assert streamed[source] == list(outcome.best.tokens)
        assert outcome == expected[source], "watching changed the search"
    assert len(outcomes) == len(sources)


def test_one_beam_streams_every_token_at_once() -> None:
    engine, ids = tiny_engine(1, eos_bias=-20.0)
    options = GenerationOptions(num_beams=1, max_new_tokens=10, no_repeat_ngram=0)
    search = Search(engine, options, ids)
    search.admit([[5, 6, 7]], watched=[0])
    news = [search.advance() for _ in range(10)]
    assert [[len(progress.tokens) for progress in step] for step in news] == [[1]] * 10


def test_beams_stream_before_the_end() -> None:
    """Not at once, but most of a reply is settled well before its last step."""
    dice = random.Random(0)
    early = total = 0
    for seed in range(10):
        engine, ids = tiny_engine(seed, eos_bias=-20.0)
        options = GenerationOptions(num_beams=4, max_new_tokens=24)
        search = Search(engine, options, ids)
        search.admit(random_sources(dice, 2), watched=[0, 1])
        while search.active:
            for progress in search.advance():
                total += len(progress.tokens)
                early += len(progress.tokens) * (progress.outcome is None)
    assert early > total / 3


def test_a_finished_hypothesis_that_may_still_win_holds_the_stream_back() -> None:
    options = GenerationOptions(num_beams=2, max_new_tokens=8, length_penalty=1.0)
    state = begin([0], options, TokenIds(start=2, eos=2, pad=0), torch.device("cpu"))
    tokens = torch.tensor([[[2, 7, 8, 9, 0, 0, 0, 0, 0], [2, 7, 8, 4, 0, 0, 0, 0, 0]]])
    ended = torch.tensor([[[2, 7, 5, 2, 0, 0, 0, 0, 0], [2, 6, 2, 0, 0, 0, 0, 0, 0]]])
    live = state.__class__(
        steps=torch.tensor([3]),
        live_tokens=tokens,
        live_scores=torch.tensor([[-2.0, -2.5]]),
        finished_tokens=ended,
        finished_lengths=torch.tensor([[3, 2]]),
        finished_scores=torch.tensor([[-0.3, -5.0]]),
        is_finished=torch.tensor([[True, True]]),
        improvable=torch.tensor([True]),
        broken=torch.tensor([False]),
        seeds=state.seeds,
    )
    # -2.0 over eight tokens may yet be -0.25, above the finished -0.3: `7` is common, the next token is not.
    assert stable_lengths(live, options)[0].tolist() == [1]


def test_live_beams_that_cannot_win_any_more_do_not_hold_the_stream_back() -> None:
    options = GenerationOptions(num_beams=2, max_new_tokens=4, length_penalty=1.0)
    state = begin([0], options, TokenIds(start=2, eos=2, pad=0), torch.device("cpu"))
    live = state.__class__(
        steps=torch.tensor([3]),
        live_tokens=torch.tensor([[[2, 7, 8, 9, 0], [2, 6, 8, 4, 0]]]),
        live_scores=torch.tensor([[-4.0, -4.1]]),
        finished_tokens=torch.tensor([[[2, 7, 5, 2, 0], [2, 6, 2, 0, 0]]]),
        finished_lengths=torch.tensor([[3, 2]]),
        finished_scores=torch.tensor([[-0.3, -5.0]]),
        is_finished=torch.tensor([[True, True]]),
        improvable=torch.tensor([True]),
        broken=torch.tensor([False]),
        seeds=state.seeds,
    )
    lengths, tokens = stable_lengths(live, options)
    assert lengths.tolist() == [2]
    assert tokens[0, 1:3].tolist() == [7, 5]


@pytest.mark.parametrize(
    ("improvable", "other_score", "expected"), [(True, -0.6, 1), (False, -0.6, 2), (True, -60.0, 1), (False, -60.0, 3)]
)
def test_live_beams_hold_the_stream_back_while_their_group_goes_on_and_they_may_beat_all_groups(
    improvable: bool, other_score: float, expected: int
) -> None:
    """Two groups of one beam. The first has finished `7 5 6` and could go on with `7 9`, the other is at `7 5`."""
    options = GenerationOptions(num_beams=2, beam_groups=2, diversity_penalty=1.0, max_new_tokens=8)
    state = begin([0], options, TokenIds(start=2, eos=2, pad=0), torch.device("cpu"))
    live = replace(
        state,
        steps=torch.tensor([2, 2]),
        live_tokens=torch.tensor([[[2, 7, 9, *[0] * 6]], [[2, 7, 5, *[0] * 6]]]),
        live_scores=torch.tensor([[-0.5], [other_score]]),
        finished_tokens=torch.tensor([[[2, 7, 5, 6, 2, *[0] * 4]], [[0] * 9]]),
        finished_lengths=torch.tensor([[4], [0]]),
        finished_scores=torch.tensor([[-0.2], [-1.0e9]]),
        is_finished=torch.tensor([[True], [False]]),
        improvable=torch.tensor([improvable, True]),
    )
    assert stable_lengths(live, options)[0].tolist() == [expected]
