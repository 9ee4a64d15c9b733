"""Options out of range or in conflict are refused before any work, by the name of the field."""

import math
from typing import Any

import pytest

from dialogue_predictor.decoding.options import MAX_SEQUENCE_TOKENS, MAX_SEQUENCES, GenerationOptions, check_options


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_beams": 0},
        {"num_beams": 17},
        {"max_new_tokens": 0},
        {"min_new_tokens": -1},
        {"min_new_tokens": 9, "max_new_tokens": 8},
        {"length_penalty": math.nan},
        {"length_penalty": math.inf},
        {"no_repeat_ngram": -1},
        {"early_stopping": "sometimes"},
        {"forced_bos_id": -1},
        {"forced_eos_id": -1},
        {"repetition_penalty": 0.0},
        {"repetition_penalty": math.nan},
        {"repetition_penalty": math.inf},
        {"temperature": 0.0},
        {"temperature": -1.0},
        {"temperature": math.nan},
        {"top_k": -1},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"top_p": math.nan},
        {"beam_groups": 0},
        {"beam_groups": 3, "num_beams": 4, "diversity_penalty": 1.0},
        {"beam_groups": 2, "diversity_penalty": 1.0, "sample": True},
        {"diversity_penalty": 1.0},
        {"diversity_penalty": 0.0, "beam_groups": 2},
        {"diversity_penalty": -1.0, "beam_groups": 2},
        {"diversity_penalty": math.nan, "beam_groups": 2},
        {"diversity_penalty": math.inf, "beam_groups": 2},
        {"bad_words": ((),)},
        {"bad_words": ((-1,),)},
        {"bad_words": ((5,),) * (MAX_SEQUENCES + 1)},
        {"facts": ((5, 6, 7), ())},
        {"facts": ((5,) * (MAX_SEQUENCE_TOKENS + 1),)},
        {"facts": ((5, -6),)},
    ],
)
def test_wrong_options_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))} "):
        GenerationOptions(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_beams": 6},
        {"forced_bos_id": 11},
        {"forced_eos_id": 11},
        {"bad_words": ((5,), (5, 11))},
        {"facts": ((5, 6, 11),)},
    ],
)
def test_what_the_vocabulary_cannot_do_is_refused_by_name(wrong: dict[str, Any]) -> None:
    options = GenerationOptions(**wrong)
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))} .* 11"):
        check_options(options, 11)
    check_options(options, 12)


def test_equal_options_share_a_lane() -> None:
    assert len({GenerationOptions(facts=((1, 2, 3),)), GenerationOptions(facts=((1, 2, 3),))}) == 1
