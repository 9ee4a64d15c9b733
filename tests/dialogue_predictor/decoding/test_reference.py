"""Token for token what Hugging Face's `generate` says, over random models, options and batches."""

import random

import pytest
import torch

from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.decoding.search import decode, padded
from dialogue_predictor.model.incremental import IncrementalModel
from dialogue_predictor.model.transformer import DialogueTransformer
from support.reference_models import reference_hypotheses, reference_model
from support.tiny_models import random_options, random_sources, tiny_config, token_ids

CASES_A_BLOCK = 20
BLOCKS = 16
ABSENT_BELOW = -1.0e6  # Hugging Face returns slots without a hypothesis at about -1e9


def agree(seed: int, options: GenerationOptions, pre_norm: bool, eos_bias: float, sources: list[list[int]]) -> int:
    """Compares one batch and returns how many hypotheses came to an end before they were cut off."""
    config = tiny_config(pre_norm=pre_norm, activation="gelu" if seed % 2 else "relu")
    reference = reference_model(config, seed, eos_bias=eos_bias)
    model = DialogueTransformer(config).double()
    model.load_state_dict(reference.state_dict())
    ids = token_ids(config)
    source, mask = padded(sources, ids.pad, torch.device("cpu"))
    tokens, scores = reference_hypotheses(reference, source, mask, options)

    outcomes = decode(IncrementalModel(model), sources, options, ids)

    for row, outcome in enumerate(outcomes):
        case = f"seed {seed}, source {row}, {options}"
        there = [0]
        if options.num_beams > 1:
            there = [rank for rank, score in enumerate(scores[row]) if score > ABSENT_BELOW]
            expected = [scores[row][rank] for rank in there]
            assert [hypothesis.score for hypothesis in outcome.hypotheses] == pytest.approx(expected, abs=1e-4), case
        for rank, hypothesis in zip(there, outcome.hypotheses, strict=True):
            ours = [*hypothesis.tokens, *[ids.eos] * hypothesis.complete]
            theirs, rest = tokens[row][rank][: len(ours)], tokens[row][rank][len(ours) :]
            assert ours == theirs, case
            assert set(rest) <= {ids.eos, ids.pad}, case
    return sum(outcome.best.complete for outcome in outcomes)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_random_cases_agree(block: int) -> None:
    ended = 0
    for case in range(CASES_A_BLOCK):
        seed = block * CASES_A_BLOCK + case
        dice = random.Random(seed)
        ended += agree(
            seed,
            random_options(dice),
            pre_norm=dice.random() < 0.5,
            eos_bias=dice.choice([0.0, 3.0, 5.0]),
            sources=random_sources(dice, dice.randint(1, 5)),
        )
    assert ended >= CASES_A_BLOCK // 4, "too few replies ended for the cases to mean anything"


@pytest.mark.parametrize("pre_norm", [True, False])
@pytest.mark.parametrize("num_beams", [1, 4, 16])
def test_long_replies_outgrow_the_first_cache_and_agree(num_beams: int, pre_norm: bool) -> None:
    options = GenerationOptions(num_beams=num_beams, max_new_tokens=60, no_repeat_ngram=0)
    sources = random_sources(random.Random(7), 4)
    agree(900 + num_beams, options, pre_norm, eos_bias=-4.0, sources=sources)


@pytest.mark.parametrize("early_stopping", [False, True, "never"])
def test_forced_first_token_that_ends_the_reply_agrees(early_stopping: bool | str) -> None:
    options = random_options(
        random.Random(3), num_beams=4, max_new_tokens=6, early_stopping=early_stopping, forced_bos_id=2
    )
    agree(950, options, pre_norm=True, eos_bias=0.0, sources=random_sources(random.Random(8), 2))
