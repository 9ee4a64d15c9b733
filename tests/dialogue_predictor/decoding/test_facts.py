"""Facts are said whole or not at all, and otherwise the search is as free as it was."""

import random
from dataclasses import replace

import pytest
import torch

from dialogue_predictor.decoding.facts import BEGUN, Facts
from dialogue_predictor.decoding.options import GenerationOptions, Sequences
from dialogue_predictor.decoding.search import decode
from dialogue_predictor.decoding.tails import Past
from support.tiny_models import VOCABULARY, random_options, random_sources, tiny_engine

CPU = torch.device("cpu")
START = 2


def continuing(said: list[int], facts: Sequences) -> set[int] | None:
    """The rule in words of one syllable: which tokens may follow; None is all of them."""
    for length in range(len(said), BEGUN - 1, -1):
        tail = tuple(said[-length:])
        if tail in facts:
            return None
        begun = {fact[length] for fact in facts if len(fact) > length and fact[:length] == tail}
        if begun:
            return begun
    return None


def following(said: list[int], facts: Sequences) -> set[int] | None:
    prepared = Facts.of(facts, CPU)
    assert prepared is not None
    steps = len(said)
    past = Past(torch.tensor([[START, *said, 7, 7, 7]]), torch.tensor([steps]))  # behind the steps stands rubbish
    bound, allowed = prepared.following(past)
    return set(prepared.beginnings.followers[allowed[0]].tolist()) if bound[0] else None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([], None),
        ([10], None),  # one token begins nothing
        ([10, 11], {12, 15}),  # both facts go on from here
        ([5, 10, 11, 12], {13}),
        ([10, 11, 12, 13], None),  # complete
        ([10, 11, 15], None),  # complete: the longer fact with this beginning does not bind
        ([10, 11, 15, 16], {17}),  # but it does once it is begun further
        ([11, 12], None),  # the middle of a fact is no beginning
        ([20, 21, 10, 11], {12, 15}),  # a longer tail than `10 11` is in no fact
        ([30, 31, 10, 11], {32}),  # here it is, and the longest counts
        ([40, 41], None),  # two tokens are complete at once
    ],
)
def test_the_next_token_continues_the_fact_that_was_begun(said: list[int], expected: set[int] | None) -> None:
    facts = (
        (10, 11, 12, 13),
        (10, 11, 15),
        (10, 11, 15, 16, 17),
        (30, 31, 10, 11, 32),
        (40, 41),
        (50,),
        (START, START, 5),
    )
    assert following(said, facts) == expected
    assert continuing(said, facts) == expected


def test_random_tails_follow_the_rule() -> None:
    dice = random.Random(0)
    bound = 0
    for _ in range(600):
        facts = tuple(tuple(dice.choices(range(3, 7), k=dice.randint(2, 5))) for _ in range(dice.randint(1, 5)))
        if all(len(fact) <= BEGUN for fact in facts):
            continue
        said = dice.choices(range(3, 7), k=dice.randint(0, 9))
        assert following(said, facts) == continuing(said, facts), (said, facts)
        bound += continuing(said, facts) is not None
    assert bound > 50


def garbled(tokens: tuple[int, ...], facts: Sequences) -> bool:
    return any(
        (allowed := continuing(list(tokens[:length]), facts)) is not None and tokens[length] not in allowed
        for length in range(len(tokens))
    )


@pytest.mark.parametrize("sample", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_no_hypothesis_garbles_a_fact(seed: int, sample: bool) -> None:
    """Facts made of what the model likes to say, with another ending than it likes."""
    dice = random.Random(seed)
    engine, ids = tiny_engine(seed, eos_bias=1.0)
    options = random_options(dice, max_new_tokens=14, forced_bos_id=None, forced_eos_id=None, sample=sample)
    sources = random_sources(dice, 4)
    free = [outcome.best.tokens for outcome in decode(engine, sources, options, ids)]
    starts = [tokens[place : place + 2] for tokens in free for place in range(len(tokens) - 2)][:30]
    facts = tuple((*start, *dice.choices(range(3, VOCABULARY), k=3)) for start in starts)
    bound = replace(options, facts=facts)
    for outcome in decode(engine, sources, bound, ids):
        for hypothesis in outcome.hypotheses:
            end = (ids.eos,) if hypothesis.complete else ()
            assert not garbled((*hypothesis.tokens, *end), facts)


def test_a_fact_is_said_to_its_end_against_all_bans() -> None:
    engine, ids = tiny_engine(1, eos_bias=-20.0)
    options = GenerationOptions(num_beams=1, max_new_tokens=12, no_repeat_ngram=1)
    first, second = decode(engine, [[5, 6, 7]], options, ids)[0].best.tokens[:2]
    number = (first, second, first, first, second, 9, 9)
    bound = replace(options, facts=(number,), bad_words=((9,), (first, first)))
    said = decode(engine, [[5, 6, 7]], bound, ids)[0].best.tokens
    assert said[:7] == number
    assert len(set(said[7:]) | set(number)) == 5 + 3, "after the fact the bans hold again"


def test_facts_that_do_not_come_up_change_nothing() -> None:
    engine, ids = tiny_engine(4, eos_bias=0.0)
    options = GenerationOptions(num_beams=4, max_new_tokens=12)
    sources = random_sources(random.Random(4), 6)
    expected = decode(engine, sources, options, ids)
    said = {token for outcome in expected for each in outcome.hypotheses for token in each.tokens}
    silent = [token for token in range(3, VOCABULARY) if token not in said][:2]
    assert len(silent) == 2
    assert decode(engine, sources, replace(options, facts=((*silent, 5, 6),)), ids) == expected
    assert decode(engine, sources, replace(options, facts=((5, 6), (7,))), ids) == expected
