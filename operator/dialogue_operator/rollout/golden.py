"""Golden dialogues: what a new revision must answer before its first user, as people write it down; pure.

`dialogues.json` is a list of such entries:

    {"name": "greets back",
     "messages": [{"role": "user", "content": "Hello!"}],
     "expect": {"contains": ["hello"], "maxTokens": 20}}

An entry may expect any of: `equals` (the whole reply), `contains` (one text or several, in any case), `matches` (a Python
regular expression found somewhere in the reply), `notEmpty` (true) and `maxTokens`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PASSED = "Passed"  # what is said where every reply is as it must be
MOST_DIALOGUES, MOST_MESSAGES, MOST_CHARACTERS, MOST_PATTERN = 100, 64, 4000, 256
MOST_NAME, MOST_TEXTS, MOST_TOKENS = 64, 16, 256
ROLES = ("system", "user", "assistant")
FIELDS, EXPECTATIONS = ("name", "messages", "expect"), ("equals", "contains", "matches", "notEmpty", "maxTokens")


class GoldenInvalid(ValueError):
    """One sentence that names the entry and the field."""


@dataclass(frozen=True)
class Expectation:
    """What a reply must be; what is None is not asked."""

    equals: str | None = None
    contains: tuple[str, ...] = ()
    matches: str | None = None
    not_empty: bool = False
    max_tokens: int | None = None


@dataclass(frozen=True)
class Dialogue:
    name: str
    messages: tuple[tuple[str, str], ...]  # (role, content); the last one is the user's
    expect: Expectation


@dataclass(frozen=True)
class GoldenReply:
    text: str
    tokens: int | None = None


def parse_dialogues(text: str) -> tuple[Dialogue, ...]:
    """Raises GoldenInvalid."""
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GoldenInvalid(f"it is not JSON: {str(error)[:100]}") from None
    if not isinstance(entries, list) or not 0 < len(entries) <= MOST_DIALOGUES:
        count = f"it has {len(entries)}" if isinstance(entries, list) else "it is none"
        raise GoldenInvalid(f"it must be a list of 1 to {MOST_DIALOGUES} dialogues, and {count}")
    found = tuple(_dialogue(entry, f"entry {number}") for number, entry in enumerate(entries, 1))
    names = [one.name for one in found]
    for number, name in enumerate(names, 1):
        if name in names[: number - 1]:
            raise GoldenInvalid(f"entry {number}: name {name!r} is taken by an earlier entry")
    return found


def problems_of(dialogue: Dialogue, reply: GoldenReply, matched: bool = True) -> list[str]:
    """What is wrong with a reply. `matched`: whether the pattern was found, which takes a process that can be ended."""
    expect, said = dialogue.expect, _short(reply.text)
    found = []
    if expect.equals is not None and reply.text.strip() != expect.equals.strip():
        found.append(f"{said} is not {_short(expect.equals)}")
    folded = reply.text.casefold()
    found += [f"{said} does not contain {_short(text)}" for text in expect.contains if text.casefold() not in folded]
    if expect.matches is not None and not matched:
        found.append(f"{said} does not match {_short(expect.matches)}")
    if expect.not_empty and not reply.text.strip():
        found.append("the reply is empty")
    if expect.max_tokens is not None and (reply.tokens is None or reply.tokens > expect.max_tokens):
        tokens = "an unknown number of" if reply.tokens is None else reply.tokens
        found.append(f"{said} has {tokens} tokens, more than {expect.max_tokens}")
    return found


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _dialogue(entry: Any, where: str) -> Dialogue:
    fields = _object(entry, where, FIELDS)
    name = _text(fields.get("name"), f"{where}: name", MOST_NAME)
    where = f"{where} ({name})"
    return Dialogue(name, _messages(fields.get("messages"), where), _expectation(fields.get("expect"), where))


def _messages(value: Any, where: str) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, list) or not 0 < len(value) <= MOST_MESSAGES:
        raise GoldenInvalid(f"{where}: messages must be a list of 1 to {MOST_MESSAGES} messages")
    found = []
    for number, one in enumerate(value, 1):
        message = _object(one, f"{where}: message {number}", ("role", "content"))
        if message.get("role") not in ROLES:
            raise GoldenInvalid(f"{where}: role of message {number} must be one of {', '.join(ROLES)}")
        found.append((message["role"], _text(message.get("content"), f"{where}: content of message {number}")))
    if found[-1][0] != "user":
        raise GoldenInvalid(f"{where}: messages must end with the user's")
    return tuple(found)


def _expectation(value: Any, where: str) -> Expectation:
    given = _object(value, f"{where}: expect", EXPECTATIONS)
    if not given:
        raise GoldenInvalid(f"{where}: expect must name at least one of {', '.join(EXPECTATIONS)}")
    at = f"{where}: expect."
    if given.get("notEmpty", True) is not True:
        raise GoldenInvalid(f"{at}notEmpty can only be true; leave it out")
    tokens = given.get("maxTokens", MOST_TOKENS)
    if type(tokens) is not int or not 1 <= tokens <= MOST_TOKENS:
        raise GoldenInvalid(f"{at}maxTokens must be an integer from 1 to {MOST_TOKENS}")
    return Expectation(
        equals=_text(given["equals"], f"{at}equals") if "equals" in given else None,
        contains=_texts(given["contains"], f"{at}contains") if "contains" in given else (),
        matches=_pattern(given["matches"], f"{at}matches") if "matches" in given else None,
        not_empty="notEmpty" in given,
        max_tokens=tokens if "maxTokens" in given else None,
    )


def _object(value: Any, where: str, known: Sequence[str]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise GoldenInvalid(f"{where} must be an object with {', '.join(known)}")
    if unknown := sorted(value.keys() - set(known)):
        raise GoldenInvalid(f"{where} has an unknown field {_short(unknown[0])}; known are {', '.join(known)}")
    return value


def _text(value: Any, where: str, most: int = MOST_CHARACTERS) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > most:
        raise GoldenInvalid(f"{where} must be a text of 1 to {most} characters")
    return value


def _texts(value: Any, where: str) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    if not 0 < len(values) <= MOST_TEXTS:
        raise GoldenInvalid(f"{where} must be a text, or a list of 1 to {MOST_TEXTS} texts")
    return tuple(_text(one, where) for one in values)


def _pattern(value: Any, where: str) -> str:
    pattern = _text(value, where, MOST_PATTERN)
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise GoldenInvalid(f"{where} is no regular expression: {error}") from None
    return pattern
