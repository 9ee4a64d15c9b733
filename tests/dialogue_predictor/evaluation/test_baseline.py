"""The nearest neighbour: by words or characters, by the last turn or more, with or without what is known."""

from dialogue_predictor.evaluation.baseline import NearestReply, TextIndex, best_baseline
from dialogue_predictor.evaluation.cases import Case
from dialogue_predictor.text.dialogue import Turn
from dialogue_predictor.training.data.dialogues import Language


def case(reply: str, *history: str, facts: tuple[str, ...] = (), language: Language = "en") -> Case:
    turns = tuple(Turn("user" if at % 2 == 0 else "assistant", text) for at, text in enumerate(history))
    return Case("sgd", language, turns, facts, reply)


def test_the_text_with_the_rare_words_in_common_is_nearest() -> None:
    index = TextIndex(["find a cheap hotel", "find a cheap flight", "a song"], "en")
    assert index.nearest(["the flight", "songs and a song", "nothing"]) == [1, 2, 0]


def test_chinese_needs_no_blanks() -> None:
    assert TextIndex(["请推荐一家酒店。", "门票多少钱？"], "zh").nearest(["故宫的门票？"]) == [1]


def test_the_reply_is_that_of_the_nearest_history() -> None:
    training = [case("Which city?", "I need a hotel."), case("Which airport?", "I need a flight.")]
    assert NearestReply(training, history=1).replies([case("", "A flight please.")]) == ["Which airport?"]


def test_facts_decide_only_where_they_are_compared() -> None:
    training = [case("One.", "How much?", facts=("price: cheap",)), case("Two.", "How much?", facts=("price: dear",))]
    asked = [case("", "How much?", facts=("price: dear",))]
    assert NearestReply(training, history=1).replies(asked) == ["One."]
    assert NearestReply(training, history=1, facts=True).replies(asked) == ["Two."]


def test_of_one_and_three_turns_the_better_is_taken() -> None:
    training = [
        case("A hotel it is.", "hotel", "Sure?", "yes"),
        case("A flight it is.", "flight", "Sure?", "yes"),
    ]
    asked = [case("A flight it is.", "a flight", "Sure?", "yes")]
    assert NearestReply(training, history=1).replies(asked) == ["A hotel it is."]
    assert best_baseline(training, asked).replies(asked) == ["A flight it is."]
