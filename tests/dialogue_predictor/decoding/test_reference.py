"""Token for token and score for score what Hugging Face's `generate` says, over random models, options and batches."""

import random
from functools import cache
from typing import Any

import pytest
import torch

from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.decoding.search import decode, padded
from dialogue_predictor.model.incremental import IncrementalModel
from dialogue_predictor.model.transformer import DialogueTransformer
from support.reference_models import reference_hypotheses, reference_model
from support.tiny_models import VOCABULARY, random_options, random_sources, tiny_config, token_ids

SOURCES_A_BATCH = 16  # a case is one reply: one source under one set of options
BATCHES_A_BLOCK = 11
BLOCKS = 30
ABSENT_BELOW = -1.0e6  # Hugging Face returns slots without a hypothesis at about -1e9
FAMILIES: dict[str, dict[str, Any]] = {
    "mbart": {"pre_norm": True, "activation": "gelu"},
    "bart": {"pre_norm": False, "activation": "relu"},
    "marian": {
        "pre_norm": False,
        "activation": "swish",
        "positions": "sinusoidal",
        "layernorm_embedding": False,
        "decoder_start_id": 0,
    },
}


@cache
def models(family: str, seed: int, eos_bias: float) -> tuple[Any, IncrementalModel]:
    vocabulary = VOCABULARY if seed % 2 else 150  # in one block of candidates, and in several
    config = tiny_config(vocab_size=vocabulary, **FAMILIES[family])
    reference = reference_model(config, seed, eos_bias=eos_bias)
    model = DialogueTransformer(config).double()
    model.load_state_dict({name: value for name, value in reference.state_dict().items() if name in model.state_dict()})
    return reference, IncrementalModel(model)


def agree(
    options: GenerationOptions, sources: list[list[int]], *, family: str = "mbart", seed: int, eos_bias: float
) -> int:
    """Compares one batch and returns how many best replies came to an end before they were cut off."""
    reference, engine = models(family, seed, eos_bias)
    ids = token_ids(engine.model.config)
    source, mask = padded(sources, ids.pad, torch.device("cpu"))
    tokens, scores = reference_hypotheses(reference, source, mask, options)

    outcomes = decode(engine, sources, options, ids)

    for row, outcome in enumerate(outcomes):
        case = f"{family}, seed {seed}, bias {eos_bias}, source {sources[row]}, {options}"
        there = [rank for rank, score in enumerate(scores[row]) if score > ABSENT_BELOW]
        expected = [scores[row][rank] for rank in there]
        assert [hypothesis.score for hypothesis in outcome.hypotheses] == pytest.approx(expected, rel=1e-6, abs=1e-4), (
            case
        )
        for rank, hypothesis in zip(there, outcome.hypotheses, strict=True):
            ours = [*hypothesis.tokens, *[ids.eos] * hypothesis.complete]
            theirs, rest = tokens[row][rank][: len(ours)], tokens[row][rank][len(ours) :]
            assert ours == theirs, case
            assert set(rest) <= {ids.eos, ids.pad}, case
    return sum(outcome.best.complete for outcome in outcomes)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_random_cases_agree(block: int) -> None:
    dice = random.Random(block)
    family = list(FAMILIES)[block % len(FAMILIES)]
    ended = 0
    for _ in range(BATCHES_A_BLOCK):
        ended += agree(
            random_options(dice),
            random_sources(dice, SOURCES_A_BATCH),
            family=family,
            seed=block,
            eos_bias=dice.choice([0.0, 3.0, 5.0, 7.0]),
        )
    assert ended >= BATCHES_A_BLOCK * SOURCES_A_BATCH // 5, "too few replies ended for the cases to mean anything"


def test_there_are_enough_random_cases() -> None:
    assert BLOCKS * BATCHES_A_BLOCK * SOURCES_A_BATCH >= 5_000


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("num_beams", [1, 4, 16])
def test_long_replies_outgrow_the_first_cache_and_agree(num_beams: int, family: str) -> None:
    options = GenerationOptions(num_beams=num_beams, max_new_tokens=60, no_repeat_ngram=0)
    agree(options, random_sources(random.Random(7), 4), family=family, seed=940 + num_beams, eos_bias=-4.0)


@pytest.mark.parametrize("early_stopping", [False, True, "never"])
def test_forced_first_token_that_ends_the_reply_agrees(early_stopping: bool | str) -> None:
    options = random_options(
        random.Random(3), num_beams=4, max_new_tokens=6, early_stopping=early_stopping, forced_bos_id=2
    )
    agree(options, random_sources(random.Random(8), 2), seed=950, eos_bias=0.0)
