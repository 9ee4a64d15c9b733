"""Questions that one fact answers: from a knowledge base of sights (KdConv) and one of places in Hong Kong (BiToD).

What is asked for stands among what is not; now and then it stands nowhere, and the answer says so. That is what teaches
a model to take the value from its context rather than from its weights.
"""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dialogue_predictor.training.data.corpora import read_jsonl
from dialogue_predictor.training.data.dialogues import Dialogue, Language, Utterance

Subject = tuple[str, Mapping[str, str]]  # name, values by attribute

MISSING, LONGEST, ABOUT_NOTHING = 0.15, 60, 0.1
BITOD = ("restaurants", "hotels", "attractions")
ENGLISH_KEYS = {
    "address": "address", "phone_number": "phone number", "price_level": "price level", "rating": "rating",
    "cuisine": "cuisine", "price_per_night": "price per night", "stars": "stars", "location": "location",
}  # fmt: skip
QUESTIONS: Mapping[Language, tuple[str, ...]] = {
    "zh": (
        "{name}的{key}是什么？", "{name}的{key}是多少？", "请问{name}的{key}？", "你知道{name}的{key}吗？", "{name}{key}",
        "我想知道{name}的{key}。", "能告诉我{name}的{key}吗", "帮我查一下{name}的{key}。", "{name}，{key}呢？", "查{name}的{key}",
    ),
    "en": (
        "What is the {key} of {name}?", "what's the {key} of {name}", "Can you tell me the {key} of {name}?",
        "I need the {key} for {name}.",
        "Do you know the {key} of {name}?", "{name}: what is the {key}?", "Please give me the {key} of {name}.", "{name} {key}?",
    ),
}  # fmt: skip
AGAIN: Mapping[Language, tuple[str, ...]] = {
    "zh": ("那{key}呢？", "{key}是什么？", "它的{key}呢", "还有{key}是多少？", "好的，{key}你知道吗？"),
    "en": ("And the {key}?", "What is the {key}?", "What about its {key}?", "Thanks. Do you know the {key} too?"),
}
ANSWERS: Mapping[Language, tuple[str, ...]] = {
    "zh": (
        "{name}的{key}是{value}。",
        "{key}是{value}。",
        "是{value}。",
        "{name}：{value}。",
        "您好，{name}的{key}是{value}。",
    ),
    "en": ("The {key} of {name} is {value}.", "The {key} is {value}.", "It is {value}.", "Sure, the {key} is {value}."),
}
UNKNOWN: Mapping[Language, tuple[str, ...]] = {
    "zh": ("抱歉，我没有{name}的{key}信息。", "不好意思，我没有查到{name}的{key}。"),
    "en": ("Sorry, I don't have the {key} of {name}.", "I'm afraid I have no information on the {key} of {name}."),
}
LINES: Mapping[Language, tuple[str, ...]] = {
    "zh": ("{name} {key} {value}", "{name} {key} {value}", "{name}的{key}是{value}", "{name} {key}：{value}"),
    "en": (
        "name: {name}; {key}: {value}",
        "{name} {key}: {value}",
        "The {key} of {name} is {value}.",
        "{name} {key} {value}",
    ),
}


def read_knowledge(data: Path) -> dict[Language, list[Subject]]:
    """What can be asked for in one line, of every subject; languages that have nothing are left out."""
    triples: dict[str, dict[str, str]] = {}
    path = data / "kdconv/knowledge_travel.jsonl.gz"
    for name, key, value in read_jsonl(path) if path.exists() else ():
        if key not in ("Information", "周边景点") and len(value) <= LONGEST:
            triples.setdefault(name, {})[key] = value
    places: list[Subject] = [
        (record["name"], english_values(record))
        for kind in BITOD
        if (path := data / f"bitod/{kind}_en_US.jsonl.gz").exists()
        for record in read_jsonl(path)
    ]
    both: dict[Language, list[Subject]] = {"zh": list(triples.items()), "en": places}
    return {language: [one for one in subjects if one[1]] for language, subjects in both.items() if subjects}


def english_values(record: Mapping[str, Any]) -> dict[str, str]:
    values = {word: record.get(key) for key, word in ENGLISH_KEYS.items()}
    worded = {
        word: ", ".join(value) if isinstance(value, list) else str(value) for word, value in values.items() if value
    }
    return {word: value for word, value in worded.items() if len(value) <= LONGEST}


def exchanges(subjects: Sequence[Subject], language: Language, count: int, seed: int) -> list[Dialogue]:
    """`count` dialogues of one to three questions about one subject each; seeded."""
    draw = random.Random(seed)
    return [
        Dialogue(
            f"knowledge-{language}-{index}", "knowledge", language, "knowledge", questions(subjects, language, draw)
        )
        for index in range(count)
    ]


def questions(subjects: Sequence[Subject], language: Language, draw: random.Random) -> tuple[Utterance, ...]:
    name, values = draw.choice(subjects)
    turns: list[Utterance] = []
    for key in draw.sample(list(values), min(len(values), draw.choice((1, 1, 2, 3)))):
        frames = AGAIN if turns and draw.random() < 0.7 else QUESTIONS
        known = draw.random() >= MISSING
        answer = draw.choice((ANSWERS if known else UNKNOWN)[language])
        filled = {"name": name, "key": key, "value": values[key].rstrip("。.")}
        turns += [
            Utterance("user", draw.choice(frames[language]).format(**filled)),
            Utterance(
                "assistant", answer.format(**filled), facts_about(name, values, key, known, subjects, language, draw)
            ),
        ]
    return tuple(turns)


def facts_about(
    name: str,
    values: Mapping[str, str],
    key: str,
    known: bool,
    subjects: Sequence[Subject],
    language: Language,
    draw: random.Random,
) -> tuple[str, ...]:
    """The asked fact if it is known, among others of the subject and some of another subject, in any order."""
    style = draw.choice(LINES[language])
    chosen = [(name, key, values[key])] if known else []
    if draw.random() >= ABOUT_NOTHING:
        others = [one for one in values if one != key]
        chosen += [(name, one, values[one]) for one in draw.sample(others, min(len(others), draw.choice((0, 1, 2))))]
    if draw.random() < 0.3:
        stranger, theirs = draw.choice(subjects)
        if stranger != name:
            one = key if key in theirs else next(iter(theirs))
            chosen.append((stranger, one, theirs[one]))
    draw.shuffle(chosen)
    return tuple(style.format(name=subject, key=one, value=value) for subject, one, value in chosen)
