"""Diverse beam search is what its definition says: against a search in plain lists, one beam and token at a time."""

import heapq
import math
import random
from dataclasses import dataclass, field, replace

import pytest
import torch

from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.decoding.search import decode
from dialogue_predictor.model.incremental import IncrementalModel
from dialogue_predictor.model.transformer import DialogueTransformer
from support.tiny_models import random_sources, tiny_model, token_ids

Scored = tuple[float, list[int]]


@dataclass
class Group:
    """One group's search; hypotheses begin with the start token."""

    live: list[Scored]
    finished: list[Scored] = field(default_factory=list)
    done: bool = False


@torch.no_grad()
def log_probs(
    model: DialogueTransformer, source: list[int], said: list[int], options: GenerationOptions
) -> list[float]:
    logits = model(torch.tensor([source]), torch.ones(1, len(source), dtype=torch.bool), torch.tensor([said]))[0, -1]
    values: list[float] = logits.log_softmax(dim=0).tolist()
    return values


def banned(said: list[int], token: int, options: GenerationOptions, eos: int) -> bool:
    size = options.no_repeat_ngram
    now = [*said, token]
    grams = [tuple(now[start : start + size]) for start in range(len(now) - size + 1)] if size else []
    return (token == eos and len(said) - 1 < options.min_new_tokens) or (grams.count(grams[-1]) > 1 if grams else False)


def diverse(model: DialogueTransformer, source: list[int], options: GenerationOptions) -> list[Scored]:
    """Vijayakumar et al. 2016, algorithm 1 with Hamming diversity; a group ends as a beam search of its own would."""
    eos, size = model.config.eos_id, options.group_beams
    groups = [Group([(0.0, [model.config.decoder_start_id])]) for _ in range(options.beam_groups)]
    for length in range(1, options.max_new_tokens + 1):
        said_now: list[int] = []
        for group in groups:
            if group.done:
                continue
            found = []
            for score, said in group.live:
                for token, value in enumerate(log_probs(model, source, said, options)):
                    if not banned(said, token, options, eos):
                        cost = options.diversity_penalty * said_now.count(token)
                        found.append((score + value - cost, [*said, token]))
            best = heapq.nlargest(2 * size, found)
            last = length == options.max_new_tokens
            ended = [each for each in best[:size] if last or each[1][-1] == eos]
            group.finished += [(score / length**options.length_penalty, said) for score, said in ended]
            group.finished = heapq.nlargest(size, group.finished)
            group.live = [each for each in best if each[1][-1] != eos][:size]
            group.done = last or over(group, length, options)
            said_now += [said[-1] for _, said in group.live]
    return sorted((each for group in groups for each in group.finished), reverse=True)


def over(group: Group, length: int, options: GenerationOptions) -> bool:
    """Whether the best live hypothesis, at its present length or at the greatest, falls short of the worst finished."""
    if len(group.finished) < options.group_beams:
        return False
    if options.early_stopping is True:
        return True
    hopeful = options.early_stopping == "never" and options.length_penalty > 0
    reachable = group.live[0][0] / math.pow(options.max_new_tokens if hopeful else length, options.length_penalty)
    return reachable <= min(score for score, _ in group.finished)


def random_groups(dice: random.Random) -> GenerationOptions:
    groups, size = dice.choice([(2, 1), (2, 2), (3, 2), (4, 1), (2, 4)])
    return GenerationOptions(
        num_beams=groups * size,
        beam_groups=groups,
        diversity_penalty=dice.choice([0.3, 1.0, 4.0]),
        max_new_tokens=dice.randint(1, 8),
        min_new_tokens=dice.choice([0, 1]),
        length_penalty=dice.choice([0.0, 1.0, 2.0]),
        no_repeat_ngram=dice.choice([0, 2]),
        early_stopping=dice.choice([False, True, "never"]),
    )


@pytest.mark.parametrize("seed", range(24))
def test_random_cases_agree_with_the_definition(seed: int) -> None:
    dice = random.Random(seed)
    model = tiny_model(seed % 4, eos_bias=dice.choice([1.0, 4.0])).double()
    ids = token_ids(model.config)
    options, sources = random_groups(dice), random_sources(dice, 5, longest=6)
    for source, outcome in zip(sources, decode(IncrementalModel(model), sources, options, ids), strict=True):
        expected = diverse(model, source, options)
        ours = [[ids.start, *each.tokens, *[ids.eos] * each.complete] for each in outcome.hypotheses]
        assert ours == [said for _, said in expected], options
        scores = [each.score for each in outcome.hypotheses]
        assert scores == pytest.approx([score for score, _ in expected], abs=1e-4)


def test_groups_say_other_things_than_beams_do() -> None:
    model = tiny_model(1, eos_bias=-20.0)
    ids = token_ids(model.config)
    plain = GenerationOptions(num_beams=4, max_new_tokens=6)
    grouped = replace(plain, beam_groups=4, diversity_penalty=50.0)
    sources = random_sources(random.Random(1), 8)

    def first_tokens(options: GenerationOptions) -> list[int]:
        outcomes = decode(IncrementalModel(model), sources, options, ids)
        return [len({hypothesis.tokens[0] for hypothesis in outcome.hypotheses}) for outcome in outcomes]

    assert min(first_tokens(grouped)) == 4
    assert max(first_tokens(plain)) < 4


def test_groups_that_are_alone_in_their_ideas_are_beam_searches_of_their_own() -> None:
    """The first group is a plain search of its size, whatever the others do."""
    model = tiny_model(2).double()
    ids = token_ids(model.config)
    options = GenerationOptions(num_beams=6, beam_groups=3, diversity_penalty=2.0, max_new_tokens=8)
    alone = replace(options, num_beams=2, beam_groups=1, diversity_penalty=0.0)
    sources = random_sources(random.Random(3), 6)
    engine = IncrementalModel(model)
    for both in zip(decode(engine, sources, options, ids), decode(engine, sources, alone, ids), strict=True):
        grouped, plain = both
        assert {each.tokens for each in plain.hypotheses} <= {each.tokens for each in grouped.hypotheses}
        assert grouped.best.score >= plain.best.score - 1e-5
        assert math.isfinite(grouped.best.score)
