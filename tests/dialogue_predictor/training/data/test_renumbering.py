"""Permuted digits: the same number is the same number in source and target, and nothing else changes."""

import random

from dialogue_predictor.training.data.examples import Example
from dialogue_predictor.training.data.renumbering import RENUMBERED, digits_of, renumber
from dialogue_predictor.training.data.vocabulary import train_tokenizer

TOKENIZER = train_tokenizer(["call 415 at 10:30, 价格120元 for 7 people"] * 3, 300)
DIGITS = digits_of(TOKENIZER.encode)
SAID, ANSWER = "at 10:30 for 7, 电话 0132", "Is 10:30 for 7 right? 0132"


def shape(text: str) -> str:
    return "".join("#" if letter.isdigit() else letter for letter in text)


def test_a_number_stays_the_same_in_source_and_target_and_only_digits_change() -> None:
    example = Example(tuple(TOKENIZER.encode(SAID)), tuple(TOKENIZER.encode(ANSWER)), "en", 0.5)
    after = renumber([example] * 400, DIGITS, random.Random(0))
    texts = [(TOKENIZER.decode(list(one.source)), TOKENIZER.decode(list(one.target))) for one in after]
    assert all(shape(source) == shape(SAID) and shape(target) == shape(ANSWER) for source, target in texts)
    assert all(source[3:8] == target[3:8] and source[-4:] == target[-4:] for source, target in texts)
    assert len(set(texts)) > 100
    assert abs(sum(one == example for one in after) / 400 - (1 - RENUMBERED)) < 0.1
    assert {(one.language, one.weight) for one in after} == {("en", 0.5)}


def test_the_same_draw_gives_the_same_digits() -> None:
    example = Example(tuple(TOKENIZER.encode(SAID)), tuple(TOKENIZER.encode(ANSWER)), "en")
    once, again = (renumber([example] * 20, DIGITS, random.Random(5)) for _ in range(2))
    assert once == again


def test_digits_that_a_tokenizer_joins_are_left_alone() -> None:
    assert digits_of(lambda text: [ord(letter) for letter in text.replace("12", "x")]) == ()
    assert digits_of(lambda text: [ord(text[0])] if len(text) == 1 else [900, *range(48, 58)]) == tuple(range(48, 58))
    example = Example((1, 2), (3,), "zh")
    assert renumber([example], (), random.Random(0)) == [example]
