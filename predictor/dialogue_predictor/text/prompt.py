"""From turns to the ids a model reads: the newest turn first, then back in time, as many as the budget holds.

source = `<user> newest <assistant> before it … </s>`. Newest first, so that what a reply mostly hangs on always stands
at the same positions: a small model need not learn to find it. What was left out is visible in the result, so that a
client can tell a forgotten beginning from a model that ignored it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dialogue_predictor.text.dialogue import Turn
from dialogue_predictor.text.special import EOS_ID, ROLE_IDS
from dialogue_predictor.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Prompt:
    """`turns_used` counts the turns that are in `ids`, whole or cut; `truncated` says something was left out."""

    ids: tuple[int, ...]
    turns_used: int
    truncated: bool


def build_prompt(turns: Sequence[Turn], tokenizer: Tokenizer, max_turns: int, max_source_tokens: int) -> Prompt:
    """The prompt for a reply to the last turn.

    Turns are taken from the newest backwards while they fit whole. When even the newest does not fit, its end is
    kept: a question mostly comes last. Raises ValueError on no turns or a budget under three tokens.
    """
    return assemble_prompt([(turn, tokenizer.encode(turn.text)) for turn in turns], max_turns, max_source_tokens)


def assemble_prompt(encoded: Sequence[tuple[Turn, Sequence[int]]], max_turns: int, max_source_tokens: int) -> Prompt:
    """`build_prompt` for turns that are encoded already, as in training, where every prefix becomes a source."""
    if not encoded:
        raise ValueError("a prompt needs at least one turn")
    if max_turns < 1 or max_source_tokens < 3:
        raise ValueError("a prompt needs room for one turn and three tokens")
    room = max_source_tokens - 1  # </s>
    taken: list[list[int]] = []
    cut = False
    for turn, ids in reversed(encoded[-max_turns:]):
        segment = [ROLE_IDS[turn.role], *ids]
        if len(segment) > room:
            if not taken:
                taken.append([ROLE_IDS[turn.role], *ids[len(ids) - (room - 1) :]])
                cut = True
            break
        taken.append(segment)
        room -= len(segment)
    source = [token for segment in taken for token in segment]
    return Prompt((*source, EOS_ID), len(taken), cut or len(taken) < len(encoded))
