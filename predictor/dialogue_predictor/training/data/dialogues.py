"""A dialogue to learn from: what was said, and for each turn what was known and what was wanted."""

from dataclasses import dataclass
from typing import Literal

from dialogue_predictor.text.dialogue import Role

Language = Literal["en", "zh"]
Split = Literal["train", "validation"]


@dataclass(frozen=True, slots=True)
class Utterance:
    """`facts`: lines known when this turn is written. `intents`: "Service/Intent" of a user's turn."""

    role: Role
    text: str
    facts: tuple[str, ...] = ()
    intents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dialogue:
    id: str
    corpus: str
    language: Language
    topic: str
    turns: tuple[Utterance, ...]
