"""Sources that come and go get the reply that each of them would get alone, whatever engine decodes them."""

import random
from dataclasses import replace
from typing import Any

import pytest
from torch import Tensor

from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.decoding.outcome import Outcome
from dialogue_predictor.decoding.search import Search, compacted, decode
from dialogue_predictor.decoding.turn import turn
from dialogue_predictor.model.incremental import DecoderState, IncrementalModel
from support.tiny_models import random_options, random_sources, tiny_model, token_ids

LONGEST = 16
LIKES: dict[str, dict[str, Any]] = {
    "plain": {},
    "filled": {"rows": lambda sources: 1 << (sources - 1).bit_length()},
    "seldom": {"turns_per_look": 3},
    "both": {"rows": lambda sources: -(-sources // 4) * 4, "turns_per_look": 5},
}


class Observed(IncrementalModel):
    """Remembers the shapes [B, K] of its steps; in double precision, in which neighbours do not show in the tokens."""

    def __init__(self, seed: int, eos_bias: float, likes: dict[str, Any]) -> None:
        super().__init__(tiny_model(seed, eos_bias=eos_bias, max_positions=LONGEST).double())
        self.ids = token_ids(self.model.config)
        self.shapes: list[tuple[int, int]] = []
        for name, like in likes.items():
            setattr(self, name, like)

    def step(self, state: DecoderState, tokens: Tensor) -> tuple[Tensor, DecoderState]:
        self.shapes.append((tokens.shape[0], tokens.shape[1]))
        return super().step(state, tokens)


def any_options(dice: random.Random) -> GenerationOptions:
    """Plain, sampled, grouped or with facts."""
    options = random_options(dice, max_new_tokens=dice.randint(1, LONGEST))
    kind = dice.choice(["plain", "plain", "sample", "groups", "facts"])
    if kind == "sample":
        return replace(options, sample=True, temperature=1.2)
    if kind == "groups" and options.num_beams % 2 == 0:
        return replace(options, beam_groups=2, diversity_penalty=0.7)
    if kind == "facts":
        return replace(options, facts=tuple(tuple(dice.choices(range(3, 20), k=4)) for _ in range(20)))
    return options


def same(ours: Outcome, alone: Outcome) -> None:
    assert [each.tokens for each in ours.hypotheses] == [each.tokens for each in alone.hypotheses]
    assert [each.score for each in ours.hypotheses] == pytest.approx(
        [each.score for each in alone.hypotheses], abs=1e-5
    )


class Schedule:
    """Admits and drops at random, and keeps account of everything that is said."""

    def __init__(self, seed: int, likes: dict[str, Any]) -> None:
        self.dice = random.Random(seed)
        self.engine = Observed(seed, self.dice.choice([0.0, 2.0, 4.0]), likes)
        self.options = any_options(self.dice)
        self.search = Search(self.engine, self.options, self.engine.ids)
        self.asked: dict[int, tuple[list[int], int]] = {}
        self.watched: set[int] = set()
        self.dropped: set[int] = set()
        self.streamed: dict[int, list[int]] = {}
        self.outcomes: dict[int, Outcome] = {}

    def run(self) -> None:
        while len(self.asked) < 30 or self.search.active:
            if len(self.asked) < 30 and self.dice.random() < 0.5:
                self.admit()
            if self.search.active and self.dice.random() < 0.15:
                gone = self.dice.choice(sorted(self.search.active))
                self.search.drop([gone])
                self.dropped.add(gone)
            self.advance()

    def admit(self) -> None:
        count = self.dice.randint(1, 4)
        sources, seeds = random_sources(self.dice, count), [self.dice.getrandbits(64) for _ in range(count)]
        watched = [place for place in range(count) if self.dice.random() < 0.5]
        numbers = self.search.admit(sources, watched=watched, seeds=seeds)
        assert not set(numbers) & set(self.asked), "a number was used again"
        self.asked.update(zip(numbers, zip(sources, seeds, strict=True), strict=True))
        self.watched.update(numbers[place] for place in watched)

    def advance(self) -> None:
        for progress in self.search.advance():
            source = progress.source
            assert source not in self.outcomes, "news after the outcome"
            assert source not in self.dropped, "news of a source that was dropped"
            assert not progress.broken
            assert source in self.watched or progress.outcome is not None
            self.streamed.setdefault(source, []).extend(progress.tokens)
            if progress.outcome is not None:
                self.outcomes[source] = progress.outcome

    def check(self) -> None:
        assert self.outcomes.keys() == self.asked.keys() - self.dropped
        for number, outcome in self.outcomes.items():
            source, seed = self.asked[number]
            same(
                outcome,
                decode(IncrementalModel(self.engine.model), [source], self.options, self.engine.ids, seeds=[seed])[0],
            )
            assert self.streamed[number] == list(outcome.best.tokens)


@pytest.mark.parametrize("likes", LIKES)
@pytest.mark.parametrize("seed", range(12))
def test_any_schedule_gives_everybody_the_reply_it_would_get_alone(seed: int, likes: str) -> None:
    schedule = Schedule(seed, LIKES[likes])
    schedule.run()
    schedule.check()
    if likes in ("filled", "both"):
        rows = LIKES[likes]["rows"]
        beams = schedule.options.num_beams
        assert all(rows(batch) == batch for batch, width in schedule.engine.shapes if width == beams > 1)


def numbered(
    engine: IncrementalModel, count: int, options: GenerationOptions
) -> tuple["Search[DecoderState]", list[int]]:
    search = Search(engine, options, token_ids(engine.model.config))
    return search, search.admit(random_sources(random.Random(1), count))


def test_the_first_take_their_first_step_with_one_beam_and_those_among_others_with_them() -> None:
    engine = Observed(1, -20.0, {})
    search, _ = numbered(engine, 3, GenerationOptions(num_beams=4, max_new_tokens=10))
    assert engine.shapes == [(3, 1)]
    search.advance()
    assert engine.shapes == [(3, 1)], "the first news must not wait for a step"
    search.advance()
    late = search.admit([[5, 6]], watched=[0])
    assert engine.shapes == [(3, 1), (3, 4)]
    search.advance()
    assert engine.shapes[2:] == [(4, 4)]
    assert late == [3]


def test_one_beam_is_told_its_first_token_after_its_first_step() -> None:
    engine = Observed(1, -20.0, {})
    search = Search(engine, GenerationOptions(num_beams=1, max_new_tokens=5), engine.ids)
    search.admit([[5, 6]])
    search.advance()
    search.admit([[7]], watched=[0])
    assert [(each.source, len(each.tokens)) for each in search.advance()] == [(1, 1)]


def test_sources_that_are_gone_leave_a_quarter_of_the_batch_at_a_time() -> None:
    engine = Observed(1, -20.0, {})
    search, numbers = numbered(engine, 8, GenerationOptions(num_beams=2, max_new_tokens=10))
    search.advance()
    for gone, rows in ((0, 8), (1, 8), (2, 6), (3, 6), (4, 4)):
        search.drop(numbers[:gone])
        search.advance()
        assert engine.shapes[-1][0] == rows
    search.drop(numbers)
    assert search.advance() == []
    assert engine.shapes[-1][0] == 4, "nobody is left to take a step for"


def test_newcomers_take_the_places_of_those_that_are_gone() -> None:
    engine = Observed(1, -20.0, {"rows": lambda sources: -(-sources // 4) * 4})
    search, numbers = numbered(engine, 7, GenerationOptions(num_beams=2, max_new_tokens=10))
    search.advance()
    search.drop(numbers[:2])
    search.admit(random_sources(random.Random(2), 3))
    search.advance()
    search.advance()
    assert engine.shapes[-1] == (8, 2)


def test_newcomers_that_cannot_be_admitted_do_no_harm() -> None:
    engine = Observed(1, 0.0, {})
    options = GenerationOptions(num_beams=3, max_new_tokens=8)
    search, _ = numbered(engine, 3, options)
    for wrong, seeds in (([[5], []], None), ([[5]], [1, 2])):
        with pytest.raises(ValueError, match=r"at least one token|as many as"):
            search.admit(wrong, seeds=seeds)
    outcomes = {}
    while search.active:
        outcomes.update({each.source: each.outcome for each in search.advance()})
    expected = decode(engine, random_sources(random.Random(1), 3), options, engine.ids)
    assert [outcomes[number] for number in range(3)] == expected


class Wholesale(IncrementalModel):
    """Takes whole turns itself, as an engine that records them does."""

    def turn(self, state: DecoderState, beams: Any, rules: Any) -> Any:
        self.turns = getattr(self, "turns", 0) + 1
        return turn(self, state, beams, rules)


def test_an_engine_may_take_its_turns_itself() -> None:
    model = tiny_model(1, eos_bias=-20.0)
    engine, sources = Wholesale(model), random_sources(random.Random(3), 3)
    options = GenerationOptions(max_new_tokens=6)
    ids = token_ids(model.config)
    assert decode(engine, sources, options, ids) == decode(IncrementalModel(model), sources, options, ids)
    assert engine.turns == 5, "all but the first turn"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [([], []), ([0, 1, 2], [0, 1, 2]), ([1, 2], [2, 1]), ([0, 3, 5], [0, 3, 5]), ([2, 3, 7], [3, 7, 2]), ([9], [9])],
)
def test_rows_that_stay_keep_their_places_as_far_as_can_be(rows: list[int], expected: list[int]) -> None:
    assert compacted(rows) == expected
