"""Tiny random models that say varied things and do come to an end."""

import random
from typing import Any

import torch

from dialogue_predictor.decoding.options import GenerationOptions, TokenIds
from dialogue_predictor.model.config import ModelConfig
from dialogue_predictor.model.incremental import IncrementalModel
from dialogue_predictor.model.transformer import DialogueTransformer, build

VOCABULARY = 60
FIRST_WORD = 3  # ids below are padding, begin and end

torch.set_num_threads(1)  # matrices this small are slower on several threads, and much slower on a busy machine


UNUSUAL_OPTIONS: tuple[dict[str, Any], ...] = (
    {"sample": True, "temperature": 0.8, "top_k": 7, "top_p": 0.9},
    {"num_beams": 1, "sample": True},
    {"num_beams": 6, "beam_groups": 3, "diversity_penalty": 0.5},
    {
        "num_beams": 4,
        "bad_words": ((9,), (11, 12)),
        "facts": ((20, 21, 22), (30, 31, 32, 33)),
        "repetition_penalty": 1.3,
    },
)
"""What `random_options` does not draw by itself: sampling, groups, bad words, facts."""


def tiny_config(**changes: Any) -> ModelConfig:
    values: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "heads": 4,
        "ffn": 48,
        "max_positions": 64,
        "dropout": 0.0,
    }
    return ModelConfig(**(values | changes))


@torch.no_grad()
def tiny_model(seed: int = 0, *, eos_bias: float = 3.0, spread: float = 12.0, **changes: Any) -> DialogueTransformer:
    """Weights `spread` times as wide as a fresh model's, or its next token would hardly depend on anything."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build(tiny_config(**changes)).eval()
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(spread)
    model.final_logits_bias[0, model.config.eos_id] = eos_bias
    return model


def token_ids(config: ModelConfig) -> TokenIds:
    return TokenIds(start=config.decoder_start_id, eos=config.eos_id, pad=config.pad_id)


def tiny_engine(seed: int = 0, **changes: Any) -> tuple[IncrementalModel, TokenIds]:
    model = tiny_model(seed, **changes)
    return IncrementalModel(model), token_ids(model.config)


def random_sources(dice: random.Random, count: int, longest: int = 12, vocabulary: int = VOCABULARY) -> list[list[int]]:
    return [[dice.randrange(FIRST_WORD, vocabulary) for _ in range(dice.randint(1, longest))] for _ in range(count)]


def random_options(dice: random.Random, **fixed: Any) -> GenerationOptions:
    """All options but those of sampling, groups and facts."""
    longest = fixed.get("max_new_tokens", dice.randint(1, 16))
    values: dict[str, Any] = {
        "num_beams": dice.choice([1, 2, 3, 4, 5, 8, 16]),
        "max_new_tokens": longest,
        "min_new_tokens": dice.choice([0, 0, dice.randint(0, longest)]),
        "length_penalty": dice.choice([0.0, 0.5, 1.0, 1.0, 2.0, -1.0]),
        "no_repeat_ngram": dice.choice([0, 0, 1, 2, 3]),
        "early_stopping": dice.choice([False, True, "never"]),
        "forced_bos_id": dice.choice([None, None, dice.randrange(FIRST_WORD, VOCABULARY)]),
        "forced_eos_id": dice.choice([None, 2]),
        "repetition_penalty": dice.choice([1.0, 1.0, 1.3, 0.8]),
        "bad_words": random_words(dice) if dice.random() < 0.4 else (),
    }
    return GenerationOptions(**(values | fixed))


def random_words(dice: random.Random) -> tuple[tuple[int, ...], ...]:
    """Many short sequences over a third of the vocabulary, so that some of them come up; the end is among them."""
    choices = range(2, VOCABULARY // 3)
    return tuple(tuple(dice.choices(choices, k=dice.choice([1, 2, 2, 2, 3]))) for _ in range(dice.randint(1, 60)))
