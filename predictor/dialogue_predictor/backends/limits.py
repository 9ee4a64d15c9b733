"""What a model can take, and the one clear error for a request beyond it, before any work."""

from dataclasses import dataclass

from dialogue_predictor.backends.base import GenerationRequest
from dialogue_predictor.decoding.options import check_options
from dialogue_predictor.errors import InvalidRequest

PRIORITIES = range(-10, 11)  # bounded, because the longest wait grows with the widest gap


@dataclass(frozen=True)
class Limits:
    """What the model can take: ids below `vocab_size`, sources and targets up to `max_positions`."""

    vocab_size: int
    max_positions: int


def check(request: GenerationRequest, limits: Limits) -> None:
    """Raises InvalidRequest for what would break a batch, and with it the neighbours' replies."""
    options = request.options
    if not 1 <= len(request.source) <= limits.max_positions:
        raise InvalidRequest("source", f"must have 1 to {limits.max_positions} tokens")
    if not all(0 <= token < limits.vocab_size for token in request.source):
        raise InvalidRequest("source", "has a token outside the vocabulary")
    if options.max_new_tokens > limits.max_positions:
        raise InvalidRequest("max_new_tokens", f"must be at most {limits.max_positions}")
    try:
        check_options(options, limits.vocab_size)
    except ValueError as error:
        field, _, message = str(error).partition(" ")
        raise InvalidRequest(field, message.partition(", got")[0]) from None
    if request.priority not in PRIORITIES:
        raise InvalidRequest("priority", f"must lie in {PRIORITIES[0]}..{PRIORITIES[-1]}")
