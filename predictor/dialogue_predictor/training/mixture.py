"""Which dialogues a model sees, and how often: the mixture of the default recipe.

English has ten times the dialogues of Chinese, greetings are a handful; shares fix what counts would not. A share is
of the examples of one epoch; a part is repeated or sampled to fill it.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dialogue_predictor.training.corpora import Dialogue, read_corpora
from dialogue_predictor.training.greetings import greetings
from dialogue_predictor.training.templates import generate, read_templates

SMALL_TALK_TOPICS = frozenset({"tech_support", "coding", "trivia"})  # long answers, not talk

SHARES: Mapping[str, float] = {
    "sgd": 0.52,
    "kdconv": 0.05,
    "crosswoz": 0.11,
    "templates": 0.22,
    "smalltalk-en": 0.02,
    "smalltalk-zh": 0.02,
    "greetings-en": 0.03,
    "greetings-zh": 0.03,
}


@dataclass(frozen=True, slots=True)
class Mixture:
    """`parts` are training dialogues by the name of their share; validation is never repeated."""

    parts: Mapping[str, Sequence[Dialogue]]
    validation: Sequence[Dialogue]


def read_mixture(data: Path, seed: int, template_dialogues: int = 12_000) -> Mixture:
    """Read the corpora under `data` and fill the templates. Raises FileNotFoundError when nothing is there."""
    splits = read_corpora(data)
    draw = random.Random(seed)
    parts: dict[str, list[Dialogue]] = {}
    for dialogue in splits["train"]:
        if dialogue.topic not in SMALL_TALK_TOPICS:
            parts.setdefault(part_of(dialogue), []).append(dialogue)
    templates = read_templates(data / "crosswoz")
    if templates is not None:
        parts["templates"] = generate(templates, template_dialogues, seed)
    for dialogue in greetings():
        parts.setdefault(part_of(dialogue), []).append(dialogue)
    for name in set(parts) - {"greetings-en", "greetings-zh", "smalltalk-en", "smalltalk-zh"}:
        parts[name] = [greet_first(dialogue, parts, draw) for dialogue in parts[name]]
    return Mixture(parts, splits["validation"])


def part_of(dialogue: Dialogue) -> str:
    both = dialogue.corpus in ("smalltalk", "greetings")
    return f"{dialogue.corpus}-{dialogue.language}" if both else dialogue.corpus


def greet_first(dialogue: Dialogue, parts: Mapping[str, Sequence[Dialogue]], draw: random.Random) -> Dialogue:
    """One task dialogue in eight begins with a greeting, as people do with a chat window."""
    if draw.random() >= 0.125 or not dialogue.turns:
        return dialogue
    openings = [opening for opening in parts[f"greetings-{dialogue.language}"] if opening.topic == "hello"]
    return replace(dialogue, turns=draw.choice(openings).turns + dialogue.turns)
