"""Questions that a task assistant should decline, and how it does.

The questions are the small-talk corpus's and our own: frames of general questions in both languages, filled with topics.
A fifth of them is held out for evaluation, chosen by a hash: of the corpus by question, of ours by frame, so that no
wording that is measured was trained on.
"""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path

from dialogue_predictor.training.data.corpora import read_corpora, share_of
from dialogue_predictor.training.data.dialogues import Dialogue, Language, Split, Utterance
from dialogue_predictor.training.data.questions import Family, families

REFUSALS: Mapping[Language, tuple[str, ...]] = {
    "en": (
        "I'm sorry, I don't know about that.",
        "Sorry, that is something I can't answer.",
        "I don't know the answer to that, I'm afraid.",
    ),
    "zh": ("抱歉，这个问题我不清楚。", "不好意思，这个我回答不了。", "很抱歉，我不了解这方面的内容。"),
}
OFFERS: Mapping[Language, str] = {"en": " I can help you find {}, {} or {}.", "zh": "我可以帮您找{}、{}或者{}。"}
OFFERED: Mapping[Language, tuple[str, ...]] = {
    "en": ("restaurants", "hotels", "flights", "movies", "events", "buses", "trains", "rental cars"),
    "zh": ("餐馆", "酒店", "景点", "地铁站", "出租车", "电影", "音乐"),
}
DECLINES: Mapping[Language, tuple[str, ...]] = {
    language: tuple(
        refusal + OFFERS[language].format(*offered)
        for refusal in REFUSALS[language]
        for offered in permutations(OFFERED[language], 3)
    )
    for language in REFUSALS
}
"""Many, and each of them unlikely: a search prefers one long sentence that is always the same to every shorter answer."""

MARKS = (
    "know about that",
    "something i can't answer",
    "know the answer to that",
    "这个问题我不清楚",
    "这个我回答不了",
    "我不了解这方面",
)
QUESTION = re.compile(
    r"\?|？|什么|谁|吗|怎么|为什么|告诉|哪|多少|几|讲|写|教|"
    r"^(?:what|who|whose|which|when|where|why|how|do|does|did|are|is|can|could|will|would|have|has|should|tell|write|explain|"
    r"give|make|show|define|sing)\b",
    re.IGNORECASE,
)
HELD_OUT = 0.2
SOCIAL = frozenset({"greetings", "conversations"})  # small talk that is answered, not declined
MOST_PER_FRAME = 12
INTERRUPTED = 0.06
ANSWERS = 3


def is_decline(text: str) -> bool:
    """Whether a reply says that it does not know, as `DECLINES` say it."""
    spoken = text.lower().replace("’", "'")
    return any(mark in spoken for mark in MARKS)


def off_topic_questions(data: Path, split: Split) -> list[tuple[Language, str]]:
    """Distinct questions of one split, the corpus's and our own. Raises FileNotFoundError when no corpus is there."""
    splits = read_corpora(data)
    return questions_of([*splits["train"], *splits["validation"]], split)


def questions_of(dialogues: Sequence[Dialogue], split: Split) -> list[tuple[Language, str]]:
    """The same from dialogues that were read already."""
    asked = dict.fromkeys(
        (one.language, one.turns[0].text)
        for one in dialogues
        if one.corpus == "smalltalk" and one.topic not in SOCIAL and one.turns and QUESTION.search(one.turns[0].text)
    )
    chosen = [question for question in asked if split_of(key_of(question[1])) == split]
    for language in REFUSALS:
        chosen += [(language, text) for text in framed(families(language), split)]
    return list(dict.fromkeys(chosen))


def framed(asked: Sequence[Family], split: Split) -> Iterator[str]:
    """Each frame with at most `MOST_PER_FRAME` of its topics, chosen by a hash."""
    for family in asked:
        for frame in family["frames"]:
            if split_of(frame) == split:
                fitting = sorted(family["topics"], key=lambda topic: share_of(f"{frame}{topic}"))[:MOST_PER_FRAME]
                yield from (frame.replace("{}", topic) for topic in fitting)


def split_of(key: str) -> Split:
    return "validation" if share_of(f"off-topic {key}") < HELD_OUT else "train"


def key_of(text: str) -> str:
    """Equal for questions that differ in case and punctuation alone."""
    return re.sub(r"\W+", " ", text).strip().lower()


def off_topic_dialogues(questions: Sequence[tuple[Language, str]]) -> Iterator[Dialogue]:
    """Each question as dialogues of its own, with a few declines; the same ones whatever else is asked."""
    for language, text in questions:
        declines = random.Random(key_of(text)).sample(DECLINES[language], ANSWERS)
        for index, decline in enumerate(declines):
            turns = (Utterance("user", text), Utterance("assistant", decline))
            yield Dialogue(f"off-topic-{language}-{key_of(text)}-{index}", "off-topic", language, "off-topic", turns)


def interrupt(dialogue: Dialogue, questions: Sequence[str], draw: random.Random) -> Dialogue:
    """Some dialogues are broken by an off-topic question, declined whatever is known; then they go on."""
    starts = [at for at, turn in enumerate(dialogue.turns) if at and turn.role == "user"]
    if draw.random() >= INTERRUPTED or not starts or not questions:
        return dialogue
    at = draw.choice(starts)
    decline = Utterance("assistant", draw.choice(DECLINES[dialogue.language]), dialogue.turns[at - 1].facts)
    asked = Utterance("user", draw.choice(questions))
    return replace(dialogue, turns=(*dialogue.turns[:at], asked, decline, *dialogue.turns[at:]))
