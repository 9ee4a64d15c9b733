"""Golden dialogues: reading what people wrote, and comparing replies."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue_operator.rollout.golden import (
    MOST_DIALOGUES,
    Dialogue,
    Expectation,
    GoldenInvalid,
    GoldenReply,
    parse_dialogues,
    problems_of,
)
from support.objects import ABSENT, changed

Json = dict[str, Any]
ENTRY: Json = {
    "name": "greets",
    "messages": [{"role": "user", "content": "Hello!"}],
    "expect": {"contains": ["hello"], "maxTokens": 20},
}


def test_an_entry_is_read_as_it_is_written() -> None:
    turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    turns += [{"role": "assistant", "content": "Hello."}, {"role": "user", "content": "Bye"}]
    expect = {"equals": "a", "contains": "b", "matches": "c+", "notEmpty": True, "maxTokens": 3}
    [found] = parse_dialogues(json.dumps([{"name": "whole", "messages": turns, "expect": expect}]))
    assert found.name == "whole"
    assert found.messages == (("system", "Be kind."), ("user", "Hi"), ("assistant", "Hello."), ("user", "Bye"))
    assert found.expect == Expectation("a", ("b",), "c+", True, 3)


BAD: list[tuple[Json, str]] = [
    ({"name": ABSENT}, "entry 1: name must be a text of 1 to 64 characters"),
    ({"name": ""}, "entry 1: name must be a text"),
    ({"name": "x" * 65}, "entry 1: name must be a text"),
    ({"title": "x"}, "entry 1 has an unknown field 'title'; known are name, messages, expect"),
    ({"messages": ABSENT}, "entry 1 (greets): messages must be a list of 1 to 64 messages"),
    ({"messages": []}, "entry 1 (greets): messages must be a list"),
    ({"messages": ["Hello"]}, "entry 1 (greets): message 1 must be an object with role, content"),
    ({"messages": [{"role": "bot", "content": "a"}]}, "entry 1 (greets): role of message 1 must be one of"),
    ({"messages": [{"role": ["user"], "content": "a"}]}, "entry 1 (greets): role of message 1 must be one of"),
    ({"messages": [{"role": "user"}]}, "entry 1 (greets): content of message 1 must be a text"),
    ({"messages": [{"role": "user", "content": 1}]}, "entry 1 (greets): content of message 1 must be a text"),
    ({"messages": [{"role": "assistant", "content": "a"}]}, "entry 1 (greets): messages must end with the user's"),
    ({"expect": ABSENT}, "entry 1 (greets): expect must be an object"),
    ({"expect": {}}, "entry 1 (greets): expect must name at least one of equals, contains"),
    ({"expect": {"equal": "a"}}, "entry 1 (greets): expect has an unknown field 'equal'"),
    ({"expect": {"equals": None}}, "entry 1 (greets): expect.equals must be a text"),
    ({"expect": {"contains": []}}, "entry 1 (greets): expect.contains must be a text, or a list"),
    ({"expect": {"contains": ["a", 1]}}, "entry 1 (greets): expect.contains must be a text"),
    ({"expect": {"matches": "("}}, "entry 1 (greets): expect.matches is no regular expression: missing )"),
    ({"expect": {"matches": "a" * 257}}, "entry 1 (greets): expect.matches must be a text of 1 to 256"),
    ({"expect": {"matches": "a{99999999999}"}}, "entry 1 (greets): expect.matches is no regular expression"),
    ({"expect": {"notEmpty": False}}, "entry 1 (greets): expect.notEmpty can only be true"),
    ({"expect": {"notEmpty": 1}}, "entry 1 (greets): expect.notEmpty can only be true"),
    ({"expect": {"maxTokens": 0}}, "entry 1 (greets): expect.maxTokens must be an integer from 1 to 256"),
    ({"expect": {"maxTokens": True}}, "entry 1 (greets): expect.maxTokens must be an integer"),
    ({"expect": {"maxTokens": "20"}}, "entry 1 (greets): expect.maxTokens must be an integer"),
]


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_a_bad_entry_is_refused_with_its_name_and_field(changes: Json, message: str) -> None:
    with pytest.raises(GoldenInvalid) as caught:
        parse_dialogues(json.dumps([changed(ENTRY, changes)]))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("{}", "it must be a list of 1 to 100 dialogues, and it is none"),
        ("[]", "it must be a list of 1 to 100 dialogues, and it has 0"),
        (json.dumps([ENTRY] * (MOST_DIALOGUES + 1)), "it must be a list of 1 to 100 dialogues, and it has 101"),
        ('["Hello"]', "entry 1 must be an object with name, messages, expect"),
        (json.dumps([ENTRY, ENTRY]), "entry 2: name 'greets' is taken by an earlier entry"),
    ],
)
def test_what_is_no_list_of_dialogues_is_refused(text: str, message: str) -> None:
    with pytest.raises(GoldenInvalid) as caught:
        parse_dialogues(text)
    assert str(caught.value).startswith(message)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.sampled_from(["name", "messages", "expect", "expect.matches", "expect.contains", "expect.maxTokens"]), ANYTHING
)
def test_anything_is_read_or_refused(path: str, value: Any) -> None:
    try:
        parse_dialogues(json.dumps([changed(ENTRY, {path: value})]))
    except GoldenInvalid:
        return


def check(reply: GoldenReply, matched: bool = True, **expect: Any) -> list[str]:
    return problems_of(Dialogue("d", (("user", "Hi"),), Expectation(**expect)), reply, matched)


@pytest.mark.parametrize(
    ("expect", "good", "bad", "problem"),
    [
        ({"equals": "Hello."}, " Hello.\n", "Hello!", "'Hello!' is not 'Hello.'"),
        ({"contains": ("room", "free")}, "A ROOM is free", "A room", "'A room' does not contain 'free'"),
        ({"not_empty": True}, "x", " \n", "the reply is empty"),
    ],
)
def test_a_reply_is_as_expected_or_says_what_is_wrong(expect: Json, good: str, bad: str, problem: str) -> None:
    assert check(GoldenReply(good), **expect) == []
    assert check(GoldenReply(bad), **expect) == [problem]


def test_tokens_and_patterns_are_compared() -> None:
    assert check(GoldenReply("a", 3), max_tokens=3) == []
    assert check(GoldenReply("a", 4), max_tokens=3) == ["'a' has 4 tokens, more than 3"]
    assert check(GoldenReply("a"), max_tokens=3) == ["'a' has an unknown number of tokens, more than 3"]
    assert check(GoldenReply("a"), matches="b") == []
    assert check(GoldenReply("a"), matched=False, matches="b") == ["'a' does not match 'b'"]
    assert check(GoldenReply("a"), matched=False) == []


def test_all_that_is_wrong_is_said_and_long_replies_are_cut() -> None:
    found = check(GoldenReply("x" * 500, 300), equals="y", contains=("z",), max_tokens=2)
    assert len(found) == 3
    assert all(len(problem) < 150 for problem in found)
