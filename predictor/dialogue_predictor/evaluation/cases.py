"""The questions of an evaluation: for every reply that a person gave, what came before it and what was known."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from dialogue_predictor.text.dialogue import Turn
from dialogue_predictor.training.data.corpora import read_corpora
from dialogue_predictor.training.data.dialogues import Dialogue, Language, Split, Utterance

T = TypeVar("T")

UNFIT = frozenset({"smalltalk"})  # has no right replies to measure by
FIRST = ("sgd", "crosswoz", "kdconv")


@dataclass(frozen=True, slots=True)
class Case:
    """`history`: the spoken turns before the reply, at least one. `facts`: lines that were known when it was given."""

    corpus: str
    language: Language
    history: tuple[Turn, ...]
    facts: tuple[str, ...]
    reply: str

    @property
    def asked(self) -> str:
        """The text of the turn that is answered."""
        return self.history[-1].text

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What a model is given: the facts as a system turn, then the history."""
        return (Turn("system", "\n".join(self.facts)), *self.history) if self.facts else self.history

    def asking(self, text: str) -> "Case":
        """The same with another text of the turn that is answered."""
        return replace(self, history=(*self.history[:-1], replace(self.history[-1], text=text)))


@dataclass(frozen=True, slots=True)
class Corpora:
    """Dialogues by split, and the seeded choice of cases from them. `most` bounds the cases of each corpus."""

    data: Path
    dialogues: Mapping[Split, Sequence[Dialogue]]
    seed: int
    most: int
    facts: bool = True

    def names(self) -> list[str]:
        """The corpora that have replies in validation, in a fixed order."""
        answered = (one for one in self.dialogues["validation"] if any(map(is_reply, one.turns[1:])))
        present = {one.corpus for one in answered} - UNFIT
        return [name for name in FIRST if name in present] + sorted(present - set(FIRST))

    def of(self, corpus: str, split: Split) -> list[Dialogue]:
        return [dialogue for dialogue in self.dialogues[split] if dialogue.corpus == corpus]

    def training(self, corpus: str) -> list[Case]:
        """All cases of the corpus's training part."""
        return list(cases_of(self.of(corpus, "train"), self.facts))

    def validation(self, corpus: str, most: int | None = None) -> list[Case]:
        """At most `most` cases of the corpus's validation part, drawn with the seed."""
        return sample(list(cases_of(self.of(corpus, "validation"), self.facts)), most or self.most, self.seed)


def open_corpora(data: Path, seed: int, most: int, facts: bool = True) -> Corpora:
    """Raises FileNotFoundError where no corpus is, ValueError where none of those present has validation replies."""
    corpora = Corpora(data, read_corpora(data), seed, most, facts)
    if not corpora.names():
        raise ValueError(f"{data} has no validation dialogues with replies, small talk apart: nothing to measure by")
    return corpora


def cases_of(dialogues: Iterable[Dialogue], facts: bool = True) -> Iterator[Case]:
    for dialogue in dialogues:
        spoken = tuple(Turn(turn.role, turn.text) for turn in dialogue.turns)
        for index, turn in enumerate(dialogue.turns):
            if index and is_reply(turn):
                known = turn.facts if facts else ()
                yield Case(dialogue.corpus, dialogue.language, spoken[:index], known, turn.text)


def is_reply(turn: Utterance) -> bool:
    return turn.role == "assistant" and bool(turn.text)


def sample(values: Sequence[T], most: int, seed: int) -> list[T]:
    """At most `most` of them, in random order: the same for the same values and seed."""
    return random.Random(seed).sample(list(values), min(most, len(values)))
