"""The checks that every protocol shares: JSON, text, messages, options.

A request is checked whole before the model sees it, so that a client's mistake is always a 400 that names the
field and the fix, never a failure further in. Values are never repeated: they are a user's words.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from pydantic import ValidationError

from dialogue_predictor.config.options import ALIASES, RequestOptions
from dialogue_predictor.config.spec import Generation
from dialogue_predictor.errors import InvalidRequest
from dialogue_predictor.text.dialogue import ROLES, Turn

TEXT_CHARACTERS = 4096
MESSAGES = 64
BATCH = 32
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")  # tab and line ends are text
OPTIONS = tuple(ALIASES.values())
DRAWING = ("temperature", "topK", "topP")  # mean something with `sample` only
PATH_WORDS = frozenset(
    ("instances", "parameters", "messages", "content", "text", "role", "inputs", "data", "stop", *OPTIONS)
)


def read_json(body: bytes) -> dict[str, Any]:
    """A JSON object, strictly: no NaN, no lone surrogates."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        message = f"the body must be valid JSON: {error.msg} at character {error.pos}"
        raise InvalidRequest(_misfit(body), message) from None
    if not isinstance(value, dict):
        raise InvalidRequest("", "the body must be a JSON object")
    return value


def read_text(value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(field, f"must be a string, got {kind_of(value)}")
    if not value.strip():
        raise InvalidRequest(field, "must not be empty")
    if len(value) > TEXT_CHARACTERS:
        raise InvalidRequest(field, f"has {len(value)} characters, the limit is {TEXT_CHARACTERS}; shorten it")
    if found := CONTROL.search(value):
        code = f"U+{ord(found[0]):04X}"
        raise InvalidRequest(field, f"has a control character ({code}) at {found.start()}; remove it")
    return value


def read_messages(value: Any, field: str) -> tuple[Turn, ...]:
    """`[{"role", "content"}…]`, the last one the user's; a system message may only come first."""
    messages = read_list(value, field, most=MESSAGES)
    turns = tuple(_read_message(message, f"{field}[{at}]") for at, message in enumerate(messages))
    for at, turn in enumerate(turns[1:], start=1):
        if turn.role == "system":
            raise InvalidRequest(f"{field}[{at}].role", "a system message must be the first one")
    if turns[-1].role != "user":
        raise InvalidRequest(f"{field}[{len(turns) - 1}].role", "the last message must be the user's")
    return turns


def _read_message(value: Any, field: str) -> Turn:
    message = read_object(value, field)
    role = message.get("role")
    if role not in ROLES:
        raise InvalidRequest(f"{field}.role", f"must be one of {', '.join(ROLES)}")
    content = message.get("content")
    if isinstance(content, list):
        content = _join_parts(content, f"{field}.content")
    return Turn(role, read_text(content, f"{field}.content"))


def _join_parts(parts: Sequence[Any], field: str) -> str:
    """OpenAI's content parts: text only."""
    texts = []
    for at, value in enumerate(parts):
        part = read_object(value, f"{field}[{at}]")
        if part.get("type") != "text":
            raise InvalidRequest(f"{field}[{at}].type", "must be text; this model reads nothing else")
        texts.append(read_text(part.get("text"), f"{field}[{at}].text"))
    return "".join(texts)


def read_options(values: Any, defaults: Generation, field: str) -> RequestOptions:
    """The manifest's generation options, overridden by those that the request names.

    Who samples without naming a number of beams draws one reply; the manifest's beams are those of its search.
    """
    given = {} if values is None else read_object(values, field)
    for name in given:
        if name not in OPTIONS:
            raise InvalidRequest(field, f"has an unknown option; known are {', '.join(OPTIONS)}")
    beams = {"numBeams": 1} if given.get("sample") is True else {}
    try:
        options = RequestOptions.model_validate({**defaults.model_dump(by_alias=True), **beams, **given})
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        name = str(problem["loc"][0])
        message = problem["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        raise InvalidRequest(f"{field}.{name}", f"must be {message}") from None
    for name in DRAWING:
        if name in given and not options.sample:
            raise InvalidRequest(f"{field}.{name}", "means nothing to a search; add sample: true, or leave it out")
    if options.min_new_tokens > options.max_new_tokens:
        raise InvalidRequest(f"{field}.minNewTokens", f"must be at most maxNewTokens, {options.max_new_tokens}")
    return options


def read_object(value: Any, field: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidRequest(field, f"must be an object, got {kind_of(value)}")
    return value


def read_list(value: Any, field: str, most: int) -> Sequence[Any]:
    if not isinstance(value, list):
        raise InvalidRequest(field, f"must be a list, got {kind_of(value)}")
    if not value:
        raise InvalidRequest(field, "must not be empty")
    if len(value) > most:
        raise InvalidRequest(field, f"has {len(value)} entries, the limit is {most}")
    return value


def kind_of(value: Any) -> str:
    """JSON's word for the type of a value."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "a boolean"
    names = {str: "a string", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), "another type")


def _misfit(body: bytes) -> str:
    """The path of the first value that is JSON to Python but not to the standard: NaN, a lone surrogate."""
    try:
        return _find_misfit(json.loads(body), "") or ""
    except (ValueError, RecursionError):
        return ""


def _find_misfit(value: Any, path: str) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return path
    if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
        return path
    children: list[tuple[Any, str]] = []
    if isinstance(value, dict):
        names = {key: key if key in PATH_WORDS else "…" for key in value}
        children = [(child, f"{path}.{names[key]}".lstrip(".")) for key, child in value.items()]
    elif isinstance(value, list):
        children = [(child, f"{path}[{at}]") for at, child in enumerate(value)]
    return next((found for child, where in children if (found := _find_misfit(child, where))), None)
