"""What is asked and what is answered, the same for every protocol."""

from dataclasses import dataclass
from typing import Literal

from dialogue_predictor.config.spec import Generation
from dialogue_predictor.text.dialogue import Turn

Finish = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class ReplyRequest:
    """A dialogue that ends with the user's turn. `stop`: the reply ends before the first of these."""

    turns: tuple[Turn, ...]
    options: Generation
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """`score` is the beam's length-normalised log-probability; `tokens` counts generated, `</s>` included.

    `turns_used` and `truncated` tell how much of the dialogue the model saw. `margin` is the score's lead over
    the second hypothesis, None where there was none.
    """

    text: str
    score: float
    tokens: int
    prompt_tokens: int
    turns_used: int
    truncated: bool
    finish: Finish
    margin: float | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """Text of a reply that will not change any more; the last piece carries the whole reply."""

    text: str
    reply: Reply | None = None
