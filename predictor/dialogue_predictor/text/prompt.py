"""From turns to the ids a model reads: the newest turn first, what is known, then back in time, within the budget.

source = `<user> newest <fact> line … <assistant> before it … </s>`. Newest first, so that what a reply mostly hangs on
always stands at the same positions: a small model need not learn to find it. A system turn is what the assistant should
know: each of its lines is one fact. What was left out is visible in the result, so that a client can tell a forgotten
beginning from a model that ignored it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dialogue_predictor.text.dialogue import Role, Turn
from dialogue_predictor.text.special import EOS_ID, FACT_ID, ROLE_IDS
from dialogue_predictor.text.tokenizer import Tokenizer

Parts = Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Prompt:
    """`turns_used` counts the turns that are in `ids`, whole or cut; `truncated` says something was left out."""

    ids: tuple[int, ...]
    turns_used: int
    truncated: bool


def build_prompt(turns: Sequence[Turn], tokenizer: Tokenizer, max_turns: int, max_source_tokens: int) -> Prompt:
    """The prompt for a reply to the last turn.

    Facts have at most half of the budget, in their order: whole ones while they fit, of the first at least its
    beginning. Spoken turns are taken from the newest backwards, at most `max_turns`, while they fit whole. When even
    the newest does not fit, its end is kept: a question mostly comes last. Raises ValueError on no turns or a budget
    under three tokens.
    """
    encoded = [(turn.role, [tokenizer.encode(part) for part in parts_of(turn)]) for turn in turns]
    return assemble_prompt(encoded, max_turns, max_source_tokens)


def parts_of(turn: Turn) -> list[str]:
    """The facts of a system turn; any other turn is one part."""
    return [line for line in turn.text.splitlines() if line.strip()] if turn.role == "system" else [turn.text]


def assemble_prompt(encoded: Sequence[tuple[Role, Parts]], max_turns: int, max_source_tokens: int) -> Prompt:
    """`build_prompt` for turns whose parts are encoded already, as in training, where every prefix is a source."""
    if not encoded:
        raise ValueError("a prompt needs at least one turn")
    if max_turns < 1 or max_source_tokens < 3:
        raise ValueError("a prompt needs room for one turn and three tokens")
    told = [parts for role, parts in encoded if role == "system"]
    spoken = [(role, parts[0]) for role, parts in encoded if role != "system"]
    room = max_source_tokens - 1  # </s>
    facts, told_used, told_cut = take_facts(told, room // 2)
    room -= len(facts)
    taken: list[list[int]] = []
    cut = False
    for role, ids in reversed(spoken[-max_turns:]):
        segment = [ROLE_IDS[role], *ids]
        if len(segment) > room:
            if not taken:
                taken.append([ROLE_IDS[role], *ids[len(ids) - (room - 1) :]])
                cut = True
            break
        taken.append(segment)
        room -= len(segment)
    newest, older = taken[:1], taken[1:]
    source = [token for segment in (*newest, facts, *older) for token in segment]
    left_out = cut or told_cut or len(taken) < len(spoken)
    return Prompt((*source, EOS_ID), len(taken) + told_used, left_out)


def take_facts(told: Sequence[Parts], room: int) -> tuple[list[int], int, bool]:
    """Ids of the facts that fit in `room`, of how many system turns they are, and whether any was left out or cut."""
    ids: list[int] = []
    used = 0
    for parts in told:
        before = len(ids)
        for fact in parts:
            if len(ids) + 1 + len(fact) > room:
                if not ids and room > 1:
                    ids = [FACT_ID, *fact[: room - 1]]
                return ids, used + (len(ids) > before), True
            ids += [FACT_ID, *fact]
        used += 1
    return ids, used, False
