"""From dialogues to examples: every assistant turn is a target, what came before it the source.

Budgets for the source are drawn for each example, mostly short: most of an answer hangs on the last turns, short
sources cost less, and a model that has seen dialogues cut anywhere does not mind when serving cuts them.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dialogue_predictor.text.prompt import assemble_prompt
from dialogue_predictor.text.special import EOS_ID
from dialogue_predictor.text.tokenizer import Tokenizer
from dialogue_predictor.training.corpora import Dialogue, Language

BUDGETS = (32, 64, 128)
BUDGET_WEIGHTS = (0.50, 0.38, 0.12)


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
    max_source_tokens: int = 128
    max_target_tokens: int = 48


def examples_of(
    dialogue: Dialogue, tokenizer: Tokenizer, limits: Limits, draw: random.Random | None = None
) -> Iterator[Example]:
    """The examples of one dialogue. Without `draw` every source has the whole budget, as in validation."""
    encoded = [(turn, tokenizer.encode(turn.text)) for turn in dialogue.turns]
    for index, (turn, ids) in enumerate(encoded):
        if turn.role != "assistant" or index == 0 or not ids:
            continue
        budget = limits.max_source_tokens
        if draw is not None:
            budget = min(budget, draw.choices(BUDGETS, BUDGET_WEIGHTS)[0])
        prompt = assemble_prompt(encoded[:index], limits.max_turns, budget)
        target = (*ids, EOS_ID)[: limits.max_target_tokens]
        yield Example(prompt.ids, target, dialogue.language)


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
