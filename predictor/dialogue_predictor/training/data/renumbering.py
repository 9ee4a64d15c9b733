"""Other digits in half of the examples: a number that a model has seen nowhere before can only be copied.

Corpora repeat the same times, prices and telephone numbers, so a small model learns which of them are likely instead of
reading the one in front of it.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from dialogue_predictor.training.data.examples import Example

RENUMBERED: Final = 0.5
DIGITS: Final = "0123456789"


def digits_of(encode: Callable[[str], list[int]]) -> tuple[int, ...]:
    """The ids of the ten digits; none where a tokenizer joins digits with one another or with a space."""
    together, apart = encode(f" {DIGITS}"), [encode(digit) for digit in DIGITS]
    return tuple(together[-10:]) if apart == [[one] for one in together[-10:]] else ()


def renumber(examples: Sequence[Example], digits: Sequence[int], draw: random.Random) -> list[Example]:
    """One permutation of the ten digits through source and target of about half of the examples; none without digits."""
    if not digits:
        return list(examples)
    return [renumbered(one, digits, draw) if draw.random() < RENUMBERED else one for one in examples]


def renumbered(example: Example, digits: Sequence[int], draw: random.Random) -> Example:
    other = dict(zip(digits, draw.sample(list(digits), len(digits)), strict=True))
    source, target = (tuple(other.get(token, token) for token in ids) for ids in (example.source, example.target))
    return replace(example, source=source, target=target)
