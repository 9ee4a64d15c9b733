"""The search against the definition of its answer, and on its own: batches, sources that leave, constraints."""

import itertools
import math
import random
from dataclasses import replace
from typing import Literal

import pytest
import torch

from dialogue_predictor.decoding.beam import begin, done, improvable
from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.decoding.outcome import Outcome
from dialogue_predictor.decoding.reading import outcome_of
from dialogue_predictor.decoding.rules import Rules
from dialogue_predictor.decoding.search import Search, decode, padded
from dialogue_predictor.decoding.turn import turn
from dialogue_predictor.model.incremental import DecoderState, IncrementalModel
from dialogue_predictor.model.transformer import DialogueTransformer
from support.tiny_models import random_options, random_sources, tiny_config, tiny_engine, tiny_model, token_ids


@torch.no_grad()
def score_of(model: DialogueTransformer, source: list[int], target: list[int], options: GenerationOptions) -> float:
    """By teacher forcing, with none of the search's code."""
    config = model.config
    source_ids, mask = padded([source], config.pad_id, torch.device("cpu"))
    logits = model(source_ids, mask, torch.tensor([[config.decoder_start_id, *target[:-1]]]))
    log_probs = torch.log_softmax(logits[0], dim=-1)[torch.arange(len(target)), torch.tensor(target)]
    return float(log_probs.sum()) / math.pow(len(target), options.length_penalty)


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(4))
def test_as_many_beams_as_sequences_is_exhaustive_search(seed: int, length_penalty: float) -> None:
    vocabulary, longest = 4, 3  # three tokens besides the end: 3 live prefixes, 9, then 27 ends; 16 beams hold 9
    model = tiny_model(seed, vocab_size=vocabulary, eos_bias=0.5).double()
    eos = model.config.eos_id
    options = GenerationOptions(
        num_beams=16,
        max_new_tokens=longest,
        length_penalty=length_penalty,
        no_repeat_ngram=0,
        early_stopping="never",
    )
    words = [token for token in range(vocabulary) if token != eos]
    targets = [
        [*said, *end]
        for length in range(longest + 1)
        for said in itertools.product(words, repeat=length)
        for end in ([[eos]] if length < longest else [[]])
    ]
    source = random_sources(random.Random(seed), 1, vocabulary=vocabulary)[0]
    scored = sorted(((score_of(model, source, target, options), target) for target in targets), reverse=True)

    outcome = decode(IncrementalModel(model), [source], options, token_ids(model.config))[0]

    best_score, best = scored[0]
    assert [*outcome.best.tokens, *[eos] * outcome.best.complete] == best
    assert outcome.best.score == pytest.approx(best_score, abs=1e-5)
    assert outcome.margin == pytest.approx(best_score - scored[1][0], abs=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_score_is_the_teacher_forced_log_probability(seed: int) -> None:
    dice = random.Random(seed)
    model = tiny_model(seed)
    options = random_options(dice, forced_bos_id=None, forced_eos_id=None, repetition_penalty=1.0)
    sources = random_sources(dice, 3)
    for source, outcome in zip(
        sources, decode(IncrementalModel(model), sources, options, token_ids(model.config)), strict=True
    ):
        for hypothesis in outcome.hypotheses:
            target = [*hypothesis.tokens, *[model.config.eos_id] * hypothesis.complete]
            assert hypothesis.score == pytest.approx(score_of(model, source, target, options), abs=1e-3)


@pytest.mark.parametrize("seed", range(20))
def test_a_reply_does_not_depend_on_its_neighbours(seed: int) -> None:
    dice = random.Random(seed)
    engine, ids = tiny_engine(seed)
    options = random_options(dice)
    sources = random_sources(dice, 9)
    together = decode(engine, sources, options, ids)
    alone = [decode(engine, [source], options, ids)[0] for source in sources]
    shuffled = dice.sample(range(9), 9)
    again = decode(engine, [sources[index] for index in shuffled], options, ids)

    assert [outcome.best.tokens for outcome in together] == [outcome.best.tokens for outcome in alone]
    for place, index in enumerate(shuffled):
        assert again[place].best.tokens == together[index].best.tokens


@pytest.mark.parametrize("seed", range(10))
def test_dropped_sources_leave_and_the_others_do_not_notice(seed: int) -> None:
    dice = random.Random(seed)
    engine, ids = tiny_engine(seed, eos_bias=-1.0)
    options = GenerationOptions(num_beams=3, max_new_tokens=14)
    sources = random_sources(dice, 6)
    expected = decode(engine, sources, options, ids)

    search = Search(engine, options, ids)
    search.admit(sources)
    dropped = set(dice.sample(range(6), 3))
    outcomes = {}
    for step in itertools.count():
        if not search.active:
            break
        if step == 2:
            search.drop(dropped)
        for progress in search.advance():
            assert step < 2 or progress.source not in dropped
            outcomes[progress.source] = progress.outcome

    assert outcomes.keys() >= set(range(6)) - dropped
    for source, outcome in outcomes.items():
        assert outcome is not None
        assert outcome.best.tokens == expected[source].best.tokens


def test_a_search_with_every_source_dropped_is_over() -> None:
    engine, ids = tiny_engine()
    search = Search(engine, GenerationOptions(), ids)
    search.admit([[4, 5], [6]])
    search.advance()
    search.drop([0, 1])
    assert not search.active
    assert search.advance() == []


def test_no_ngram_is_said_twice() -> None:
    engine, ids = tiny_engine(3, eos_bias=-20.0, spread=4.0)
    free, bound = (GenerationOptions(max_new_tokens=40, no_repeat_ngram=size) for size in (0, 2))

    def repeats(options: GenerationOptions) -> bool:
        tokens = decode(engine, [[5, 6, 7]], options, ids)[0].best.tokens
        pairs = list(itertools.pairwise(tokens))
        return len(set(pairs)) < len(pairs)

    assert repeats(free), "the model does not repeat itself, the test shows nothing"
    assert not repeats(bound)


def test_a_reply_that_did_not_come_to_its_end_says_so() -> None:
    engine, ids = tiny_engine(1, eos_bias=-20.0)
    best = decode(engine, [[5]], GenerationOptions(max_new_tokens=5), ids)[0].best
    assert (len(best.tokens), best.complete) == (5, False)
    forced = decode(engine, [[5]], GenerationOptions(max_new_tokens=5, forced_eos_id=ids.eos), ids)[0].best
    assert (len(forced.tokens), forced.complete) == (4, True)


def test_no_sources_is_no_outcomes_and_an_empty_source_is_refused() -> None:
    engine, ids = tiny_engine()
    assert decode(engine, [], GenerationOptions(), ids) == []
    with pytest.raises(ValueError, match="at least one token"):
        decode(engine, [[4], []], GenerationOptions(), ids)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("length_penalty", [1.0, 2.0])
@pytest.mark.parametrize("eos_bias", [3.0, 6.0])
def test_further_steps_do_not_change_a_source_that_is_done(
    eos_bias: float, length_penalty: float, early_stopping: bool
) -> None:
    engine, ids = tiny_engine(2, eos_bias=eos_bias)
    options = GenerationOptions(
        num_beams=3,
        max_new_tokens=20,
        length_penalty=length_penalty,
        early_stopping=early_stopping,
        no_repeat_ngram=0,
    )
    sources = random_sources(random.Random(2), 6)
    source, mask = padded(sources, ids.pad, torch.device("cpu"))
    rules = Rules.of(options, ids, source.device)
    beams, state = begin([0] * 6, options, ids, source.device), engine.encode(source, mask)
    first: dict[int, Outcome] = {}
    for step in range(options.max_new_tokens + 3):
        beams, state = turn(engine, state, beams, rules, first=step == 0)
        for row, over in enumerate(done(beams, options).tolist()):
            if over:
                first.setdefault(row, outcome_of(beams, row, options, ids.eos))
    assert [first[row] for row in range(6)] == [outcome_of(beams, row, options, ids.eos) for row in range(6)]


@pytest.mark.parametrize(
    ("length_penalty", "early_stopping", "expected"),
    [(-1.0, "never", True), (1.0, "never", True), (1.0, False, False), (-1.0, False, True), (0.0, "never", False)],
)
def test_a_search_goes_on_while_a_live_beam_may_beat_a_finished_one(
    length_penalty: float, early_stopping: bool | Literal["never"], expected: bool
) -> None:
    """Live: -6 after four of sixteen tokens, with a finished hypothesis that it beats at the one length or the other."""
    options = GenerationOptions(
        num_beams=2, max_new_tokens=16, length_penalty=length_penalty, early_stopping=early_stopping
    )
    worst = {-1.0: -30.0, 1.0: -1.0, 0.0: -5.0}[length_penalty]
    state = begin([0], options, token_ids(tiny_config()), torch.device("cpu"))
    state = replace(
        state,
        steps=torch.tensor([4]),
        live_scores=torch.tensor([[-6.0, -7.0]]),
        finished_scores=torch.tensor([[-0.1, worst]]),
        is_finished=torch.tensor([[True, True]]),
    )
    assert improvable(state, options).tolist() == [expected]


class Poisoned(IncrementalModel):
    """Scores are no numbers after `sound` steps for sources that begin with the token `bad`."""

    turns_per_look = 1

    def __init__(self, model: DialogueTransformer, bad: int, sound: int, poison: float) -> None:
        super().__init__(model)
        self.bad, self.sound, self.poison = bad, sound, poison

    def encode(self, source: torch.Tensor, source_mask: torch.Tensor) -> DecoderState:
        self.sources = source[:, 0]
        return super().encode(source, source_mask)

    def step(self, state: DecoderState, tokens: torch.Tensor) -> tuple[torch.Tensor, DecoderState]:
        hidden, state = super().step(state, tokens)
        spoilt = (self.sources == self.bad) & (state.lengths > self.sound)
        hidden = hidden.clone()
        hidden[spoilt, -1, 7] = self.poison
        return hidden, state

    def reorder(self, state: DecoderState, index: torch.Tensor) -> DecoderState:
        self.sources = self.sources[index[:, 0] // state.beams]
        return super().reorder(state, index)


@pytest.mark.parametrize("poison", [math.nan, math.inf])
@pytest.mark.parametrize("sound", [0, 3])
@pytest.mark.parametrize("beams", [1, 4])
def test_scores_that_are_no_numbers_break_their_source_alone(beams: int, sound: int, poison: float) -> None:
    model = tiny_model(3, eos_bias=-50.0)
    ids = token_ids(model.config)
    options = GenerationOptions(num_beams=beams, max_new_tokens=8)
    sources = [[20, 5, 6], [21, 5, 6, 7, 8], [22, 5]]
    search = Search(Poisoned(model, 21, sound, poison), options, ids)
    search.admit(sources, watched=[0, 1])
    news = []
    while search.active:
        news += search.advance()
    assert [each.source for each in news if each.broken] == [1]
    ends = {each.source: each.outcome for each in news if each.outcome is not None}
    assert ends.keys() == {0, 2}
    for source, outcome in ends.items():
        alone = decode(IncrementalModel(model), [sources[source]], options, ids)[0]
        assert outcome.best.tokens == alone.best.tokens
    with pytest.raises(ArithmeticError, match="not finite"):
        decode(Poisoned(model, 21, sound, poison), sources, options, ids)


def test_scores_that_are_no_numbers_after_the_end_do_no_harm() -> None:
    """An engine that is seldom looked at decodes on after a source's end."""
    model = tiny_model(3, eos_bias=-50.0)
    ids = token_ids(model.config)
    options = GenerationOptions(num_beams=3, max_new_tokens=3)
    engine = Poisoned(model, 21, 3, math.nan)
    engine.turns_per_look = 6
    expected = decode(IncrementalModel(model), [[21, 5], [22, 7]], options, ids)
    assert decode(engine, [[21, 5], [22, 7]], options, ids) == expected
