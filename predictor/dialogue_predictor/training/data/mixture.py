"""Which dialogues a model sees, and how often: the mixture of the default recipe.

English has ten times the dialogues of Chinese, greetings are a handful; shares fix what counts would not. A share is
of the examples of one epoch; a part is repeated or sampled to fill it.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dialogue_predictor.text.dialogue import Role
from dialogue_predictor.training.data.corpora import OWN, read_corpora
from dialogue_predictor.training.data.dialogues import Dialogue, Language, Utterance
from dialogue_predictor.training.data.greetings import greetings
from dialogue_predictor.training.data.knowledge import exchanges, read_knowledge
from dialogue_predictor.training.data.offtopic import interrupt, off_topic_dialogues, questions_of
from dialogue_predictor.training.data.simulator import simulate

SHARES: Mapping[str, float] = {
    OWN: 0.50,
    "sgd": 0.44,
    "crosswoz": 0.10,
    "simulated": 0.22,
    "kdconv": 0.10,
    "knowledge-en": 0.03,
    "knowledge-zh": 0.04,
    "off-topic-en": 0.02,
    "off-topic-zh": 0.02,
    "greetings-en": 0.02,
    "greetings-zh": 0.02,
}
GREETED, DISTRACTED, FORGOTTEN = 0.125, 0.2, 0.1
OTHER: Mapping[Role, Role] = {"user": "assistant", "assistant": "user", "system": "system"}


@dataclass(frozen=True, slots=True)
class Mixture:
    """`parts` are training dialogues by the name of their share; validation is never repeated."""

    parts: Mapping[str, Sequence[Dialogue]]
    validation: Sequence[Dialogue]


def read_mixture(data: Path, seed: int, simulated: int = 12_000, questions: int = 6_000) -> Mixture:
    """Read the corpora under `data`, simulate `simulated` task dialogues and `questions` on facts in each language.

    Small talk is not learnt: its questions are declined. Raises FileNotFoundError when nothing is there.
    """
    splits = read_corpora(data)
    draw = random.Random(seed)
    parts: dict[str, list[Dialogue]] = {}
    for dialogue in splits["train"]:
        if dialogue.corpus != "smalltalk":
            parts.setdefault(dialogue.corpus, []).append(dialogue)
    if "kdconv" in parts:  # both of its speakers tell what they know
        parts["kdconv"] += [swapped(dialogue) for dialogue in parts["kdconv"]]
    if played := simulate(data / "crosswoz", simulated, seed):
        parts["simulated"] = [forget(one, draw) for one in played]
    for name in ("kdconv", "simulated"):
        if name in parts:
            parts[name] = distract(parts[name], draw)
    for language, subjects in read_knowledge(data).items():
        parts[f"knowledge-{language}"] = exchanges(subjects, language, questions, seed)
    asked = questions_of(splits["train"], "train")
    by_language: dict[Language, list[str]] = {}
    for language, text in asked:
        by_language.setdefault(language, []).append(text)
    openings = [one for one in greetings() if one.topic == "hello"]
    for name in parts:
        parts[name] = [
            greet_first(interrupt(one, by_language.get(one.language, ()), draw), openings, draw) for one in parts[name]
        ]
    for dialogue in [*off_topic_dialogues(asked), *greetings()]:
        parts.setdefault(f"{dialogue.corpus}-{dialogue.language}", []).append(dialogue)
    return Mixture(parts, [one for one in splits["validation"] if one.corpus != "smalltalk"])


def swapped(dialogue: Dialogue) -> Dialogue:
    """The same with the speakers' roles exchanged."""
    turns = tuple(replace(turn, role=OTHER[turn.role]) for turn in dialogue.turns)
    return replace(dialogue, id=f"{dialogue.id}-swapped", turns=turns)


def greet_first(dialogue: Dialogue, openings: Sequence[Dialogue], draw: random.Random) -> Dialogue:
    """One task dialogue in eight begins with a greeting, as people do with a chat window."""
    if draw.random() >= GREETED or not dialogue.turns:
        return dialogue
    fitting = [opening for opening in openings if opening.language == dialogue.language]
    return replace(dialogue, turns=draw.choice(fitting).turns + dialogue.turns)


def forget(dialogue: Dialogue, draw: random.Random) -> Dialogue:
    """In one dialogue of ten the last answer to a question for one attribute lacks its fact, and says so."""
    if draw.random() >= FORGOTTEN:
        return dialogue
    for at, turn in reversed(list(enumerate(dialogue.turns))):
        told = [fact.split(" ") for fact in turn.facts]
        if turn.role == "assistant" and told and all(len(words) == 3 and words[0] == told[0][0] for words in told):
            name, attribute, _ = told[0]
            answer = draw.choice(
                (f"抱歉，我没有{name}的{attribute}信息。", f"不好意思，我没有查到{name}的{attribute}。")
            )
            kept = (*dialogue.turns[:at], Utterance("assistant", answer))
            return replace(dialogue, turns=kept)
    return dialogue


def distract(dialogues: Sequence[Dialogue], draw: random.Random) -> list[Dialogue]:
    """Now and then a fact from elsewhere among those of a turn."""
    strangers = [fact for one in dialogues for turn in one.turns for fact in turn.facts]
    return [replace(one, turns=tuple(distracted(turn, strangers, draw) for turn in one.turns)) for one in dialogues]


def distracted(turn: Utterance, strangers: Sequence[str], draw: random.Random) -> Utterance:
    if not turn.facts or draw.random() >= DISTRACTED:
        return turn
    at = draw.randint(0, len(turn.facts))
    return replace(turn, facts=(*turn.facts[:at], draw.choice(strangers), *turn.facts[at:]))
