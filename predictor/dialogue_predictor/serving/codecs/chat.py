"""OpenAI's chat completions: what clients of that API send, and what they expect back.

A `temperature` above 0 draws the reply; without one, or at 0, it is the manifest's search, which is deterministic, so
that `top_p` and `seed` change nothing. Penalties are accepted in their legal ranges and change nothing either. Options
that would change the answer's form (tools, logprobs) are refused rather than silently dropped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dialogue_predictor.config.options import COLDEST, LEAST_TOP_P, MOST_NEW_TOKENS, SEEDS, RequestOptions
from dialogue_predictor.config.spec import Generation
from dialogue_predictor.errors import InvalidRequest, ModelNotFound
from dialogue_predictor.inference.request import Reply, ReplyRequest
from dialogue_predictor.serving.codecs.fields import kind_of, read_messages, read_object

STOPS = 8
STOP_CHARACTERS = 64
MOST_DRAWN = 16
RANGES = {"temperature": (0, 2), "top_p": (0, 1), "presence_penalty": (-2, 2), "frequency_penalty": (-2, 2)}
IGNORED = frozenset(("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", *RANGES))
READ = frozenset(
    ("model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "stop", "n", "seed")
)
ONLY = {  # options that are accepted at the one value that asks for nothing
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
    """`replies`: what to ask for the choices; more than one where several are drawn."""

    replies: tuple[ReplyRequest, ...]
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
    stream = _flag(given, "stream", "stream")
    shown = read_object(given.get("stream_options", {}), "stream_options")
    options = _read_drawing(given, _limit(given, defaults))
    choices = _read_choices(given, stream, MOST_DRAWN if options.sample else options.num_beams)
    request = ReplyRequest(read_messages(given.get("messages"), "messages"), options, _read_stops(given.get("stop")))
    replies = _drawn(request, options, choices) if options.sample else (replace(request, replies=choices),)
    return ChatRequest(replies, stream, _flag(shown, "include_usage", "stream_options"))


def _read_drawing(given: Mapping[str, Any], defaults: Generation) -> RequestOptions:
    """Ranges are checked; what is legal but too extreme to compute means the nearest that is not."""
    seed = given.get("seed")
    if seed is not None and not (type(seed) is int and -SEEDS <= seed < SEEDS):
        raise InvalidRequest("seed", "must be an integer of 64 bits")
    temperature = given.get("temperature", 0)
    if not temperature:
        return RequestOptions.of(defaults)
    return RequestOptions.of(
        defaults,
        sample=True,
        num_beams=1,
        temperature=max(float(temperature), COLDEST),
        top_p=max(float(given.get("top_p", 1)), LEAST_TOP_P),
        seed=seed,
    )


def _read_choices(given: Mapping[str, Any], stream: bool, most: int) -> int:
    """Several choices are several draws, or the best of the search, which has no more of them than beams."""
    choices = given.get("n", 1)
    if type(choices) is not int or not 1 <= choices <= most:
        raise InvalidRequest("n", f"must be an integer from 1 to {most}")
    if stream and choices > 1:
        raise InvalidRequest("n", "must be 1 in a stream")
    return choices


def _drawn(request: ReplyRequest, options: RequestOptions, choices: int) -> tuple[ReplyRequest, ...]:
    """A request a choice, each with a seed of its own where the client gave one."""
    seeds = [
        None if options.seed is None else (options.seed + at + SEEDS) % (2 * SEEDS) - SEEDS for at in range(choices)
    ]
    return tuple(replace(request, options=RequestOptions.of(options, seed=seed)) for seed in seeds)


def _refuse_unsupported(given: Mapping[str, Any]) -> None:
    for name, values in ONLY.items():
        if name in given and not any(given[name] == value and type(given[name]) is type(value) for value in values):
            raise InvalidRequest(name, "is not supported by this model; leave it out")
    for name, (low, high) in RANGES.items():
        value = given.get(name, low)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise InvalidRequest(name, f"must be a number from {low} to {high}")
    if given.keys() - READ - IGNORED - ONLY.keys():
        known = ", ".join(sorted(READ | RANGES.keys() | {"user"}))
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

    def whole(self, replies: Sequence[Reply]) -> dict[str, Any]:
        """A choice for each reply and for each of its `others`."""
        said = [each for reply in replies for each in (reply, *reply.others)]
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", "content": reply.text, "refusal": None},
                "logprobs": None,
                "finish_reason": reply.finish,
            }
            for index, reply in enumerate(said)
        ]
        return self._answer("chat.completion", choices) | {"usage": _usage(said)}

    def delta(self, text: str, first: bool) -> dict[str, Any]:
        delta = {"role": "assistant", "content": text} if first else {"content": text}
        return self._answer("chat.completion.chunk", [{"index": 0, "delta": delta, "finish_reason": None}])

    def end(self, reply: Reply) -> dict[str, Any]:
        choice = {"index": 0, "delta": {}, "finish_reason": reply.finish}
        return self._answer("chat.completion.chunk", [choice])

    def usage(self, reply: Reply) -> dict[str, Any]:
        return self._answer("chat.completion.chunk", []) | {"usage": _usage([reply])}

    def _answer(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.answer_id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.revision,
            "choices": choices,
        }


def _usage(replies: Sequence[Reply]) -> dict[str, int]:
    """The prompt counts once, however many choices there are."""
    prompt, said = replies[0].prompt_tokens, sum(reply.tokens for reply in replies)
    return {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}
