"""From dialogues to examples: every assistant turn is a target, what came before it and what is known the source.

Budgets for the source are drawn for each example, mostly short: most of an answer hangs on the last turns, short
sources cost less, and a model that has seen dialogues cut anywhere does not mind when serving cuts them. A budget whose
share for facts would cut the first one is raised: an answer that lost its fact would teach to invent.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dialogue_predictor.text.dialogue import Role
from dialogue_predictor.text.prompt import Parts, assemble_prompt
from dialogue_predictor.text.special import EOS_ID
from dialogue_predictor.text.tokenizer import Tokenizer
from dialogue_predictor.training.data.dialogues import Dialogue, Language

BUDGETS = (64, 128, 192)
BUDGET_WEIGHTS = (0.45, 0.35, 0.20)
SOURCE_STEP = 16  # sources of a batch are padded to a multiple of it


@dataclass(frozen=True, slots=True)
class Example:
    """Ids of source (ends with </s>) and target (ends with </s> unless it was cut)."""

    source: tuple[int, ...]
    target: tuple[int, ...]
    language: Language
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    max_turns: int = 12
    max_source_tokens: int = 192
    max_target_tokens: int = 48

    def within(self, positions: int) -> "Limits":
        """The same, as far as a model's positions go, sources in whole steps of padding."""
        whole = positions - positions % SOURCE_STEP or positions
        source, target = min(self.max_source_tokens, whole), min(self.max_target_tokens, whole)
        return replace(self, max_source_tokens=source, max_target_tokens=target)


def examples_of(
    dialogue: Dialogue, tokenizer: Tokenizer, limits: Limits, draw: random.Random | None = None
) -> Iterator[Example]:
    """The examples of one dialogue. Without `draw` every source has the whole budget, as in validation.

    The facts of the answering turn go in as a system turn.
    """
    encoded: list[tuple[Role, Parts]] = [(turn.role, [tokenizer.encode(turn.text)]) for turn in dialogue.turns]
    known: dict[str, list[int]] = {}
    for index, turn in enumerate(dialogue.turns):
        ids = encoded[index][1][0]
        if turn.role != "assistant" or index == 0 or not ids:
            continue
        facts = [known.setdefault(fact, tokenizer.encode(fact)) for fact in turn.facts]
        budget = limits.max_source_tokens
        if draw is not None:
            budget = min(budget, budget_for(facts, draw.choices(BUDGETS, BUDGET_WEIGHTS)[0]))
        prompt = assemble_prompt([("system", facts), *encoded[:index]], limits.max_turns, budget)
        target = (*ids, EOS_ID)[: limits.max_target_tokens]
        yield Example(prompt.ids, target, dialogue.language)


def budget_for(facts: Parts, drawn: int) -> int:
    """The smallest budget from `drawn` on whose half holds the first fact; the largest when none does."""
    needed = 2 * (len(facts[0]) + 1) + 1 if facts else 0
    return next((budget for budget in BUDGETS if budget >= max(drawn, needed)), BUDGETS[-1])


def encode_all(
    dialogues: Sequence[Dialogue], tokenizer: Tokenizer, limits: Limits, draw: random.Random | None = None
) -> list[Example]:
    return [example for dialogue in dialogues for example in examples_of(dialogue, tokenizer, limits, draw)]


def draw_epoch(
    parts: Mapping[str, Sequence[Example]], shares: Mapping[str, float], size: int, draw: random.Random
) -> list[Example]:
    """`size` examples in which each part has its share: whole copies first, then a sample of the rest."""
    present = {name: share for name, share in shares.items() if parts.get(name)}
    total = sum(present.values())
    epoch: list[Example] = []
    for name, share in present.items():
        part = parts[name]
        copies, rest = divmod(round(size * share / total), len(part))
        epoch += [*part] * copies + draw.sample(list(part), rest)
    draw.shuffle(epoch)
    return epoch
