"""What is asked and what is answered, the same for every protocol."""

from dataclasses import dataclass
from typing import Literal

from dialogue_predictor.config.spec import Generation
from dialogue_predictor.text.dialogue import Turn

Finish = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class ReplyRequest:
    """A dialogue that ends with the user's turn. `stop`: the reply ends before the first of these.

    `replies`: how many of the search's best are wanted, at most as many as it has beams. Of the requests that wait a
    greater `priority` goes first; within one, tenants take turns.
    """

    turns: tuple[Turn, ...]
    options: Generation  # RequestOptions, where the request asks for more than a manifest has
    stop: tuple[str, ...] = ()
    replies: int = 1
    tenant: str = ""
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """`score` is the beam's length-normalised log-probability; `tokens` counts generated, `</s>` included.

    `turns_used` and `truncated` tell how much of the dialogue the model saw. `margin` is the score's lead over
    the second hypothesis, None where there was none. `others`: the next best, where more than one was wanted.
    """

    text: str
    score: float
    tokens: int
    prompt_tokens: int
    turns_used: int
    truncated: bool
    finish: Finish
    margin: float | None = None
    others: tuple["Reply", ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """Text of a reply that will not change any more; the last piece carries the whole reply."""

    text: str
    reply: Reply | None = None
