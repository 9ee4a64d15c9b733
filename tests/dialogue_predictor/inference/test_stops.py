"""Stop strings, whole and in pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue_predictor.inference.stops import StopFilter, cut


@pytest.mark.parametrize(
    ("text", "stops", "left"),
    [
        ("one two three", ["two"], "one "),
        ("one two three", ["three", "two"], "one "),
        ("one two three", ["four"], "one two three"),
        ("one two three", [], "one two three"),
        ("aaab", ["aab"], "a"),
    ],
)
def test_a_text_ends_before_the_first_stop(text: str, stops: list[str], left: str) -> None:
    assert cut(text, stops) == (left, left != text)


few_letters = st.text("ab", max_size=12)


@given(st.lists(few_letters), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3))
def test_pieces_joined_are_the_cut_text(pieces: list[str], stops: list[str]) -> None:
    through = StopFilter(stops)
    said = "".join(through.push(piece) for piece in pieces) + through.finish()
    assert (said, through.stopped) == cut("".join(pieces), stops)


def test_text_that_cannot_begin_a_stop_is_not_held_back() -> None:
    through = StopFilter(["END"])
    assert through.push("the EN") == "the "
    assert through.push("GINE") == "ENGIN"
    assert through.finish() == "E"
