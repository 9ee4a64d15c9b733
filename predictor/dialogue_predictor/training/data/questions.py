"""Frames of general questions and the topics that fill them: what people ask a task assistant anyway.

They stand in questions.json, by language: lists of frames with one place each, and of what is put there.
"""

import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import TypedDict

from dialogue_predictor.training.data.dialogues import Language


class Family(TypedDict):
    """Questions of one kind: every frame can be asked about every topic."""

    frames: list[str]
    topics: list[str]


@cache
def families(language: Language) -> Sequence[Family]:
    """The kinds of questions in a language, the shipped ones."""
    file = resources.files(__package__).joinpath("questions.json")
    asked: dict[Language, list[Family]] = json.loads(file.read_text(encoding="utf-8"))
    return asked[language]
