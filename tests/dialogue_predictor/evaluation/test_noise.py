"""Noise: nothing at strength 0, the same for the same seed, about as much as asked for."""

import random

import pytest

from dialogue_predictor.evaluation.noise import JUNK, KINDS, characters, full_width, mixed_scripts, truncation, typos

ENGLISH = "please find me a cheap hotel in the north of the city for two nights " * 10
CHINESE = "请帮我找一家便宜的酒店，谢谢。" * 20


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", [ENGLISH, CHINESE, "", "a"])
def test_no_strength_harms_nothing_and_seeds_repeat(kind: str, text: str) -> None:
    assert KINDS[kind](text, 0.0, random.Random(0)) == text
    assert KINDS[kind](text, 0.2, random.Random(1)) == KINDS[kind](text, 0.2, random.Random(1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", [ENGLISH, CHINESE])
def test_strength_harms(kind: str, text: str) -> None:
    assert KINDS[kind](text, 0.2, random.Random(0)) != text


def test_characters_are_replaced_at_about_the_strength() -> None:
    harmed = characters(ENGLISH, 0.1, random.Random(0))
    assert len(harmed) == len(ENGLISH)
    share = sum(ours != theirs for ours, theirs in zip(harmed, ENGLISH, strict=True)) / len(ENGLISH)
    assert 0.05 < share < 0.15
    assert {ours for ours, theirs in zip(harmed, ENGLISH, strict=True) if ours != theirs} <= set(JUNK)


def test_typos_keep_most_of_a_text() -> None:
    harmed = typos(ENGLISH, 0.1, random.Random(0))
    assert abs(len(harmed) - len(ENGLISH)) < 0.1 * len(ENGLISH)
    assert set(harmed) <= set("abcdefghijklmnopqrstuvwxyz ")


def test_truncation_leaves_the_beginning_and_always_something() -> None:
    assert truncation("abcdefghij", 0.2, random.Random(0)) == "abcdefgh"
    assert truncation("a", 0.9, random.Random(0)) == "a"


def test_mixed_scripts_bring_words_of_the_other_language() -> None:
    assert any("一" <= char <= "鿿" for char in mixed_scripts(ENGLISH, 0.2, random.Random(0)))
    assert any(char.isascii() and char.isalpha() for char in mixed_scripts(CHINESE, 0.2, random.Random(0)))
    assert full_width("a 1") == "ａ １"
