"""OpenAI's chat completions: what clients of that API send, and what they expect back.

The search is deterministic, so sampling options are accepted in their legal ranges and change nothing; options that
would change the answer's form (tools, n, logprobs) are refused rather than silently dropped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dialogue_predictor.config.spec import Generation
from dialogue_predictor.errors import InvalidRequest, ModelNotFound
from dialogue_predictor.inference.request import Reply, ReplyRequest
from dialogue_predictor.serving.codecs.fields import kind_of, read_messages, read_object

STOPS = 8
STOP_CHARACTERS = 64
MOST_NEW_TOKENS = 256
RANGES = {"temperature": (0, 2), "top_p": (0, 1), "presence_penalty": (-2, 2), "frequency_penalty": (-2, 2)}
IGNORED = frozenset(
    ("seed", "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", *RANGES)
)
READ = frozenset(("model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "stop", "n"))
ONLY = {  # options that are accepted at the one value that asks for nothing
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "tools": ([],),
    "tool_choice": ("none",),
    "functions": ([],),
    "function_call": ("none",),
    "logit_bias": ({},),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "parallel_tool_calls": (True, False),
}


@dataclass(frozen=True, slots=True)
class ChatRequest:
    reply: ReplyRequest
    stream: bool
    usage: bool


def read_chat(body: Mapping[str, Any], served: str, defaults: Generation) -> ChatRequest:
    """Raises ModelNotFound unless `model` is the one that is served."""
    given = {name: value for name, value in body.items() if value is not None}
    model = given.get("model")
    if not isinstance(model, str):
        raise InvalidRequest("model", f"must be a string, got {kind_of(model)}")
    if model != served:
        raise ModelNotFound(served)
    _refuse_unsupported(given)
    options = read_object(given.get("stream_options", {}), "stream_options")
    request = ReplyRequest(
        read_messages(given.get("messages"), "messages"),
        _limit(given, defaults),
        _read_stops(given.get("stop")),
    )
    return ChatRequest(request, _flag(given, "stream", "stream"), _flag(options, "include_usage", "stream_options"))


def _refuse_unsupported(given: Mapping[str, Any]) -> None:
    for name, values in ONLY.items():
        if name in given and not any(given[name] == value and type(given[name]) is type(value) for value in values):
            raise InvalidRequest(name, "is not supported by this model; leave it out")
    for name, (low, high) in RANGES.items():
        value = given.get(name, low)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise InvalidRequest(name, f"must be a number from {low} to {high}")
    if given.keys() - READ - IGNORED - ONLY.keys():
        known = ", ".join(sorted(READ | RANGES.keys() | {"seed", "user"}))
        raise InvalidRequest("", f"the request has an unknown field; known are {known}")


def _limit(given: Mapping[str, Any], defaults: Generation) -> Generation:
    """`max_completion_tokens` is the newer name of `max_tokens`; more than a reply can have means all it can have."""
    for name in ("max_completion_tokens", "max_tokens"):
        if name in given:
            if type(given[name]) is not int or given[name] < 1:
                raise InvalidRequest(name, "must be an integer of at least 1")
            return defaults.model_copy(update={"max_new_tokens": min(given[name], MOST_NEW_TOKENS)})
    return defaults


def _read_stops(value: Any) -> tuple[str, ...]:
    stops: Sequence[Any] = [value] if isinstance(value, str) else value or []
    sound = isinstance(stops, list) and len(stops) <= STOPS
    if not sound or not all(isinstance(stop, str) and 0 < len(stop) <= STOP_CHARACTERS for stop in stops):
        raise InvalidRequest("stop", f"must be up to {STOPS} strings of 1 to {STOP_CHARACTERS} characters")
    return tuple(stops)


def _flag(values: Mapping[str, Any], name: str, field: str) -> bool:
    value = values.get(name, False)
    if not isinstance(value, bool):
        raise InvalidRequest(field, f"must be true or false, got {kind_of(value)}")
    return value


@dataclass(frozen=True, slots=True)
class ChatWriter:
    """Shapes the answers to one request: what all of its chunks have in common."""

    answer_id: str
    created: int  # seconds since 1970
    model: str
    revision: str

    def whole(self, reply: Reply) -> dict[str, Any]:
        message = {"role": "assistant", "content": reply.text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reply.finish}
        return self._answer("chat.completion", [choice]) | {"usage": _usage(reply)}

    def delta(self, text: str, first: bool) -> dict[str, Any]:
        delta = {"role": "assistant", "content": text} if first else {"content": text}
        return self._answer("chat.completion.chunk", [{"index": 0, "delta": delta, "finish_reason": None}])

    def end(self, reply: Reply) -> dict[str, Any]:
        choice = {"index": 0, "delta": {}, "finish_reason": reply.finish}
        return self._answer("chat.completion.chunk", [choice])

    def usage(self, reply: Reply) -> dict[str, Any]:
        return self._answer("chat.completion.chunk", []) | {"usage": _usage(reply)}

    def _answer(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.answer_id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.revision,
            "choices": choices,
        }


def _usage(reply: Reply) -> dict[str, int]:
    return {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.tokens,
        "total_tokens": reply.prompt_tokens + reply.tokens,
    }
