"""What is declined, and that what is measured was not trained on."""

import random
from pathlib import Path

import pytest

from dialogue_predictor.training.data.dialogues import Dialogue, Utterance
from dialogue_predictor.training.data.greetings import greetings
from dialogue_predictor.training.data.offtopic import (
    DECLINES,
    interrupt,
    is_decline,
    off_topic_dialogues,
    off_topic_questions,
)
from support.tiny_corpora import dialogue, write_corpora, write_jsonl


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_corpora(tmp_path_factory.mktemp("data"))
    write_jsonl(
        folder / "smalltalk/english.jsonl.gz", (dialogue(f"s{at}", "en", f"Why {at}?", "No.") for at in range(60))
    )
    return folder


def test_questions_are_many_in_both_languages_and_a_fifth_is_held_out(data: Path) -> None:
    train, held_out = (off_topic_questions(data, split) for split in ("train", "validation"))
    for language in ("en", "zh"):
        assert sum(one == language for one, _ in train) >= 500
        assert sum(one == language for one, _ in held_out) >= 50
    assert not set(train) & set(held_out)
    small_talk = {f"Why {at}?" for at in range(60)}
    assert 2 <= len(small_talk & {text for _, text in held_out}) <= 25


def test_a_decline_is_recognised_and_nothing_else_is(data: Path) -> None:
    for one in off_topic_dialogues(off_topic_questions(data, "train")[:20]):
        assert is_decline(one.turns[1].text)
        assert one.turns[1].text in DECLINES[one.language]
    for greeting in greetings():
        assert not is_decline(greeting.turns[1].text)
    assert not is_decline("抱歉，没有找到符合条件的酒店。")
    assert not is_decline("Sorry, I could not find a restaurant there.")


def test_an_interruption_is_declined_with_what_is_known_and_the_dialogue_goes_on() -> None:
    turns = (
        Utterance("user", "Find a hotel."),
        Utterance("assistant", "The Inn.", ("name: Inn",)),
        Utterance("user", "Thanks."),
        Utterance("assistant", "Bye."),
    )
    original = Dialogue("x", "sgd", "en", "", turns)
    draw = random.Random(0)
    found = [interrupt(original, ["Why?"], draw) for _ in range(200)]
    broken = [one for one in found if one is not original]
    assert 3 <= len(broken) <= 30
    for one in broken:
        assert [turn.text for turn in one.turns[:2]] == ["Find a hotel.", "The Inn."]
        assert (one.turns[2].text, one.turns[3].facts) == ("Why?", ("name: Inn",))
        assert is_decline(one.turns[3].text)
        assert one.turns[4:] == turns[2:]
