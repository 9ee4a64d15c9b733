"""Drawn tokens: the right distribution, as Hugging Face draws, from the request's own seed and nothing else."""

import itertools
import math
import random
from collections import Counter

import pytest
import torch
from torch import Tensor
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.decoding.sampling import gumbel, warped
from dialogue_predictor.decoding.search import Search, decode, padded
from dialogue_predictor.model.incremental import IncrementalModel
from dialogue_predictor.model.transformer import DialogueTransformer
from support.reference_models import reference_hypotheses, reference_model
from support.tiny_models import VOCABULARY, random_options, random_sources, tiny_config, tiny_engine, token_ids

ABSENT_BELOW = -1.0e6
MASK_64, MASK_32 = (1 << 64) - 1, (1 << 32) - 1
# The chi-square value that a fair draw exceeds once in a thousand times: Wilson and Hilferty's approximation.
RARE = 3.09


def sampling_options(dice: random.Random, **fixed: object) -> GenerationOptions:
    return random_options(
        dice,
        sample=True,
        temperature=dice.choice([0.5, 1.0, 1.7]),
        top_k=dice.choice([0, 0, 1, 5, 40]),
        top_p=dice.choice([1.0, 1.0, 0.9, 0.5]),
        **fixed,
    )


def seeds_for(dice: random.Random, count: int) -> list[int]:
    return [dice.getrandbits(63) for _ in range(count)]


def splitmix_64(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) & MASK_64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK_64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK_64
    return value ^ (value >> 31)


def murmur_32(value: int) -> int:
    value = ((value ^ (value >> 16)) * 0x85EBCA6B) & MASK_32
    value = ((value ^ (value >> 13)) * 0xC2B2AE35) & MASK_32
    return value ^ (value >> 16)


def noise_of(seed: int, step: int, beam: int, token: int) -> float:
    """The noise in Python's integers, which have no sign to shift and no width to wrap around at."""
    key = splitmix_64(splitmix_64(splitmix_64(seed & MASK_64) + step & MASK_64) + beam & MASK_64)
    bits = murmur_32((token * 0x9E3779B1 & MASK_32) ^ (key & MASK_32))
    bits = murmur_32((bits + (key >> 32)) & MASK_32)
    return -math.log(-math.log(((bits >> 9) + 0.5) / (1 << 23)))


def test_the_noise_is_the_documented_function_of_seed_step_beam_and_token() -> None:
    dice = random.Random(0)
    seeds = [0, 1, -1, (1 << 63) - 1, -(1 << 63), *seeds_for(dice, 20)]
    steps, beams = [dice.randrange(500) for _ in seeds], [dice.randrange(16) for _ in seeds]
    noise = gumbel(torch.tensor(seeds), torch.tensor(steps), torch.tensor(beams), 70)
    expected = [[noise_of(*place, token) for token in range(70)] for place in zip(seeds, steps, beams, strict=True)]
    torch.testing.assert_close(noise, torch.tensor(expected), rtol=1e-4, atol=1e-5)


def test_the_noise_is_finite_even_at_the_ends_of_its_range() -> None:
    noise = gumbel(torch.arange(64), torch.zeros(64, dtype=torch.int64), torch.zeros(64, dtype=torch.int64), 1 << 17)
    assert bool(noise.isfinite().all())
    assert noise.max() > 14, "the range's end was not met, the test shows nothing"
    assert float(noise.mean()) == pytest.approx(0.5772, abs=0.01)
    assert float(noise.std()) == pytest.approx(math.pi / math.sqrt(6), abs=0.01)


@pytest.mark.parametrize("num_beams", [1, 4])
@pytest.mark.parametrize("seed", range(10))
def test_the_distribution_is_hugging_faces(seed: int, num_beams: int) -> None:
    dice = random.Random(seed)
    options = sampling_options(dice, num_beams=num_beams)
    kept = 1 if num_beams == 1 else 2
    processors = LogitsProcessorList([TemperatureLogitsWarper(options.temperature)])
    if options.top_k:
        processors.append(TopKLogitsWarper(options.top_k, min_tokens_to_keep=kept))
    if options.top_p < 1:
        processors.append(TopPLogitsWarper(options.top_p, min_tokens_to_keep=kept))
    scores = (3 * torch.randn(20, VOCABULARY, generator=torch.Generator().manual_seed(seed))).log_softmax(dim=1)
    scores[3, 7:] = float("-inf")
    assert torch.equal(warped(scores, options), processors(torch.zeros(20, 1, dtype=torch.int64), scores))


@pytest.mark.parametrize("num_beams", [1, 2, 4])
@pytest.mark.parametrize("seed", range(12))
def test_draws_agree_with_hugging_faces_from_the_same_noise(
    seed: int, num_beams: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its `multinomial` gets our noise, so that both search with the same dice: tokens and scores are the same."""
    dice = random.Random(seed * 10 + num_beams)
    # With fewer tokens than draws Hugging Face's draws are not defined.
    options = sampling_options(dice, num_beams=num_beams, forced_bos_id=None)
    if num_beams > 1:
        options = GenerationOptions(**(vars(options) | {"top_k": dice.choice([0, 40]), "top_p": 1.0}))
    config = tiny_config(pre_norm=bool(seed % 2))
    reference = reference_model(config, seed)
    model = DialogueTransformer(config).double()
    model.load_state_dict(reference.state_dict())
    sources = random_sources(dice, 8)
    seeds = seeds_for(dice, 8)
    step = itertools.count()

    def multinomial(probabilities: Tensor, num_samples: int) -> Tensor:
        now = next(step)
        noise = torch.cat(
            [
                gumbel(torch.tensor(seeds), torch.tensor([now] * 8), torch.tensor([beam] * 8), VOCABULARY)
                for beam in range(num_beams)
            ],
            dim=1,
        )
        return (probabilities.log() + noise).topk(num_samples).indices

    monkeypatch.setattr(torch, "multinomial", multinomial)
    ids = token_ids(config)
    tokens, scores = reference_hypotheses(reference, *padded(sources, ids.pad, torch.device("cpu")), options)
    for row, outcome in enumerate(decode(IncrementalModel(model), sources, options, ids, seeds=seeds)):
        there = [rank for rank, score in enumerate(scores[row]) if score > ABSENT_BELOW]
        assert [each.score for each in outcome.hypotheses] == pytest.approx([scores[row][r] for r in there], abs=1e-4)
        for rank, hypothesis in zip(there, outcome.hypotheses, strict=True):
            ours = [*hypothesis.tokens, *[ids.eos] * hypothesis.complete]
            assert tokens[row][rank][: len(ours)] == ours


@pytest.mark.parametrize("num_beams", [1, 4])
def test_a_seed_makes_a_reply_whatever_the_neighbours_and_whenever_it_came(num_beams: int) -> None:
    dice = random.Random(num_beams)
    model, ids = tiny_engine(3, eos_bias=-1.0)
    engine = IncrementalModel(model.model.double())
    options = GenerationOptions(num_beams=num_beams, max_new_tokens=12, sample=True, temperature=1.5)
    sources, seeds = random_sources(dice, 8), seeds_for(dice, 8)
    together = decode(engine, sources, options, ids, seeds=seeds)
    search = Search(engine, options, ids)
    outcomes = {}
    numbers: dict[int, int] = {}
    for turn in itertools.count():
        if turn < 8:
            numbers[search.admit([sources[turn]], seeds=[seeds[turn]])[0]] = turn
        if not search.active:
            break
        for progress in search.advance():
            outcomes[numbers[progress.source]] = progress.outcome
    for place, outcome in enumerate(together):
        assert (
            decode(engine, [sources[place]], options, ids, seeds=[seeds[place]])[0].best.tokens == outcome.best.tokens
        )
        late = outcomes[place]
        assert late is not None
        assert late.best.tokens == outcome.best.tokens


def test_other_seeds_make_other_replies_and_the_same_source_twice_is_no_echo() -> None:
    engine, ids = tiny_engine(3, eos_bias=-1.0)
    options = GenerationOptions(num_beams=1, max_new_tokens=12, sample=True)
    outcomes = decode(engine, [[5, 6, 7]] * 20, options, ids, seeds=range(20))
    assert len({outcome.best.tokens for outcome in outcomes}) > 15
    same = decode(engine, [[5, 6, 7]] * 20, options, ids, seeds=[7] * 20)
    assert len({outcome.best.tokens for outcome in same}) == 1


def exceeds_chance(observed: list[int], expected: list[float]) -> bool:
    value = sum((seen - due) ** 2 / due for seen, due in zip(observed, expected, strict=True))
    freedom = len(expected) - 1
    spread = 2 / (9 * freedom)
    return value > freedom * (1 - spread + RARE * math.sqrt(spread)) ** 3


def test_tokens_are_drawn_as_often_as_they_are_probable() -> None:
    model, ids = tiny_engine(5, spread=6.0)
    source, draws = [5, 6, 7], 20_000
    options = GenerationOptions(
        num_beams=1, max_new_tokens=1, no_repeat_ngram=0, sample=True, temperature=1.3, top_k=12
    )
    outcomes = decode(model, [source] * draws, options, ids, seeds=range(draws))
    said = Counter(outcome.best.tokens or (ids.eos,) for outcome in outcomes)

    logits = model.model(torch.tensor([source]), torch.ones(1, 3, dtype=torch.bool), torch.tensor([[ids.start]]))[0, 0]
    likeliest = logits.topk(12)
    probabilities = (likeliest.values / 1.3).softmax(dim=0).tolist()
    tokens = [(token,) for token in likeliest.indices.tolist()]
    assert sum(said.values()) == sum(said[token] for token in tokens)
    observed = [said[token] for token in tokens]
    assert not exceeds_chance(observed, [draws * probability for probability in probabilities])
    assert exceeds_chance(observed, [draws / 12] * 12), "the check would pass any draws"


def test_draws_of_adjacent_steps_and_seeds_are_independent() -> None:
    """Pairs of what the same token's noise says, in the four quarters of its range each."""
    numbers = torch.arange(4000)
    zeros = torch.zeros_like(numbers)
    quarters = torch.tensor([-math.log(-math.log(level)) for level in (0.25, 0.5, 0.75)])
    here, next_seed = (torch.bucketize(gumbel(numbers + more, zeros, zeros, 3), quarters) for more in (0, 1))
    next_step = torch.bucketize(gumbel(numbers, zeros + 1, zeros, 3), quarters)
    next_beam = torch.bucketize(gumbel(numbers, zeros, zeros + 1, 3), quarters)
    next_token = here.roll(1, dims=1)
    for other in (next_seed, next_step, next_beam, next_token):
        pairs = torch.bincount((4 * here + other).flatten(), minlength=16)
        assert not exceeds_chance(pairs.tolist(), [float(here.numel()) / 16] * 16)
