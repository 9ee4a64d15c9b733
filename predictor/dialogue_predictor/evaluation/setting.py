"""What the parts of an evaluation share: the cases, who is asked, and what was answered already."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from dialogue_predictor.evaluation.baseline import NearestReply, best_baseline
from dialogue_predictor.evaluation.cases import Case, Corpora
from dialogue_predictor.evaluation.report import Figure
from dialogue_predictor.evaluation.subject import Said, Subject

T = TypeVar("T")


class LeftOut(Exception):
    """A part cannot be measured here; the message names what is missing and how to get it."""


class Setting:
    """`subjects`: the model and, where there is one, its teacher, by who they are in the figures.

    Nothing is computed twice: replies and baselines are kept for the parts that ask for them again.
    """

    def __init__(
        self,
        corpora: Corpora,
        subjects: Mapping[str, Subject],
        classifier: Path | None = None,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.corpora, self.subjects, self.classifier, self.tell = corpora, subjects, classifier, tell
        self._cases: dict[str, list[Case]] = {}
        self._baselines: dict[tuple[str, bool], NearestReply | None] = {}
        self._said: dict[tuple[str, str], list[Said]] = {}

    @property
    def seed(self) -> int:
        return self.corpora.seed

    @property
    def most(self) -> int:
        return self.corpora.most

    def cases(self, corpus: str) -> list[Case]:
        return kept(self._cases, corpus, lambda: self.corpora.validation(corpus))

    def baseline(self, corpus: str, facts: bool = False) -> NearestReply | None:
        """None where the corpus has no training part."""
        return kept(self._baselines, (corpus, facts), lambda: self._best(corpus, facts))

    def _best(self, corpus: str, facts: bool) -> NearestReply | None:
        training = self.corpora.training(corpus)
        return best_baseline(training, self.cases(corpus), facts) if training else None

    def said(self, who: str, corpus: str) -> list[Said]:
        """The replies of a subject to the corpus's cases."""
        return kept(
            self._said, (who, corpus), lambda: self.subjects[who].replies([case.turns for case in self.cases(corpus)])
        )


Part = Callable[[Setting], Iterator[Figure]]
K = TypeVar("K")


def kept(store: dict[K, T], key: K, make: Callable[[], T]) -> T:
    if key not in store:
        store[key] = make()
    return store[key]
