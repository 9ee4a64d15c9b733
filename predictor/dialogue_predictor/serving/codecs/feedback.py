"""A user's vote on a reply."""

from collections.abc import Mapping
from typing import Any

from dialogue_predictor.errors import InvalidRequest, ModelNotFound
from dialogue_predictor.serving.codecs.fields import kind_of
from dialogue_predictor.serving.revision_metrics import Vote


def read_vote(body: Mapping[str, Any], served: str) -> Vote:
    """`{"vote": "up" | "down", "model": …}`, the model optional. Raises ModelNotFound when it is another one."""
    if body.keys() - {"vote", "model"}:
        raise InvalidRequest("", "the request has an unknown field; known are vote, model")
    model = body.get("model", served)
    if not isinstance(model, str):
        raise InvalidRequest("model", f"must be a string, got {kind_of(model)}")
    if model != served:
        raise ModelNotFound(served)
    match body.get("vote"):
        case "up":
            return "up"
        case "down":
            return "down"
    raise InvalidRequest("vote", "must be up or down")
