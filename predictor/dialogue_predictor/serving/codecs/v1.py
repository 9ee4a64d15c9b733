"""KServe's v1 `:predict`: a list of instances in, a list of predictions out."""

from collections.abc import Sequence
from typing import Any

from dialogue_predictor.config.spec import Generation
from dialogue_predictor.errors import InvalidRequest
from dialogue_predictor.inference.request import Reply, ReplyRequest
from dialogue_predictor.serving.codecs.fields import (
    BATCH,
    read_list,
    read_messages,
    read_object,
    read_options,
    read_text,
)
from dialogue_predictor.text.dialogue import Turn


def read_predict(body: Any, defaults: Generation) -> tuple[ReplyRequest, ...]:
    """`{"instances": [{"text"} | {"messages"} | "text"…], "parameters": {…}}`"""
    body = read_object(body, "the body")
    if "instances" not in body:
        raise InvalidRequest("instances", 'is missing; send {"instances": [{"text": "…"}]}')
    instances = read_list(body["instances"], "instances", most=BATCH)
    options = read_options(body.get("parameters"), defaults, "parameters")
    return tuple(
        ReplyRequest(_read_instance(instance, f"instances[{at}]"), options) for at, instance in enumerate(instances)
    )


def _read_instance(value: Any, field: str) -> tuple[Turn, ...]:
    if isinstance(value, str):
        return (Turn("user", read_text(value, field)),)
    instance = read_object(value, field)
    if ("text" in instance) == ("messages" in instance):
        raise InvalidRequest(field, "must have either text or messages")
    if "text" in instance:
        return (Turn("user", read_text(instance["text"], f"{field}.text")),)
    return read_messages(instance["messages"], f"{field}.messages")


def write_predict(replies: Sequence[Reply]) -> dict[str, Any]:
    return {
        "predictions": [
            {
                "text": reply.text,
                "score": reply.score,
                "tokens": reply.tokens,
                "turns_used": reply.turns_used,
                "truncated": reply.truncated,
            }
            for reply in replies
        ]
    }
