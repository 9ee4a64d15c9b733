"""Replies that are wrong on their face, by the kind of wrongness.

Cheap enough for every reply, and blunt on purpose: a share of degenerate replies that jumps with a new revision is
a reason not to promote it, whatever the model's own scores say.
"""

import re
import unicodedata
from collections import Counter
from typing import Literal

from dialogue_predictor.inference.request import Reply

Kind = Literal["empty", "cut_off", "repetitive", "wrong_script"]

REPEATED_GRAM = 4
REPEATED_TIMES = 3
SCRIPT_LETTERS = 4  # fewer letters than this say nothing about a script


def degenerate(reply: Reply, asked: str) -> tuple[Kind, ...]:
    """The kinds that fit `reply` to the user's text `asked`; empty for a sound reply."""
    kinds: list[Kind] = []
    if not reply.text.strip():
        kinds.append("empty")
    if reply.finish == "length":
        kinds.append("cut_off")
    if _repeats(reply.text):
        kinds.append("repetitive")
    ours, theirs = _scripts(reply.text), _scripts(asked)
    if _enough(ours) and _enough(theirs) and _main(ours) not in theirs:
        kinds.append("wrong_script")
    return tuple(kinds)


def _repeats(text: str) -> bool:
    """Some run of four words (characters, where words are not spaced) comes three times."""
    words = text.split() if _main(_scripts(text)) != "cjk" else [char for char in text if not char.isspace()]
    grams = Counter(tuple(words[at : at + REPEATED_GRAM]) for at in range(len(words) - REPEATED_GRAM + 1))
    return bool(grams) and max(grams.values()) >= REPEATED_TIMES


def _scripts(text: str) -> Counter[str]:
    """How many letters of each script, named by the first word of their Unicode names."""
    letters = (char for char in text if char.isalpha())
    return Counter(re.split("[ -]", unicodedata.name(char, "UNKNOWN").lower(), maxsplit=1)[0] for char in letters)


def _main(scripts: Counter[str]) -> str | None:
    return scripts.most_common(1)[0][0] if scripts else None


def _enough(scripts: Counter[str]) -> bool:
    return scripts.total() >= SCRIPT_LETTERS
