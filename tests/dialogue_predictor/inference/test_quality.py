"""Replies that are wrong on their face."""

import pytest

from dialogue_predictor.inference.quality import degenerate
from dialogue_predictor.inference.request import Finish, Reply


def reply(text: str, finish: Finish = "stop") -> Reply:
    return Reply(text, -1.0, 3, 3, 1, False, finish)


@pytest.mark.parametrize(
    ("asked", "text", "kinds"),
    [
        ("hello there", "hello, how can I help?", ()),
        ("hello there", "", ("empty",)),
        ("hello there", " \n", ("empty",)),
        ("hello there", "I do not know what I do not know what I do not know what", ("repetitive",)),
        ("我想订一个酒店", "好的好的好的好的好的好的好的好的", ("repetitive",)),
        ("我想订一个酒店", "which part of town?", ("wrong_script",)),
        ("a hotel please", "请问您想住在哪里", ("wrong_script",)),
        ("a hotel please", "你好", ()),  # two letters say nothing about a script
        ("订 Hilton", "Hilton 酒店很好，请问几点入住", ()),
        ("12 + 30?", "forty-two", ()),
    ],
)
def test_kinds(asked: str, text: str, kinds: tuple[str, ...]) -> None:
    assert degenerate(reply(text), asked) == kinds


def test_a_reply_that_was_cut_off() -> None:
    assert degenerate(reply("and then we", "length"), "hello there") == ("cut_off",)
