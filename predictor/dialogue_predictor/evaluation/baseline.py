"""The plain baseline: the text with the most words in common, weighed by how rare they are (TF-IDF), and its reply.

It needs no training beyond counting and is what a model must beat to be worth its cost.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dialogue_predictor.evaluation.cases import Case
from dialogue_predictor.evaluation.metrics import Similarities, chrf
from dialogue_predictor.training.data.dialogues import Language

ROWS = 256  # queries at a time, so that a large corpus does not need all similarities at once
HISTORIES = (1, 3)


class TextIndex:
    """Texts to be found by likeness: words of English, runs of one to three characters of Chinese."""

    def __init__(self, texts: Sequence[str], language: Language) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        if language == "zh":
            self._vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), dtype=np.float32)
        else:
            self._vectorizer = TfidfVectorizer(token_pattern=r"\b\w+\b", dtype=np.float32)
        self._texts: Any = self._vectorizer.fit_transform(texts)

    def similarities(self, queries: Sequence[str]) -> Similarities:
        """Cosines [N, M] of queries with the texts."""
        dense: Similarities = (self._vectorizer.transform(queries) @ self._texts.T).toarray()
        return dense

    def nearest(self, queries: Sequence[str]) -> list[int]:
        """The index of the most similar text for each query, the first of equals."""
        found: list[int] = []
        for start in range(0, len(queries), ROWS):
            found += self.similarities(queries[start : start + ROWS]).argmax(axis=1).tolist()
        return found


class NearestReply:
    """The reply of the training case whose history is most like the one at hand.

    `history` is how many of the last turns are compared. With `facts` what is known is compared as well.
    """

    def __init__(self, training: Sequence[Case], history: int, facts: bool = False) -> None:
        self._history, self._facts = history, facts
        self._index = TextIndex([self._key(case) for case in training], training[0].language)
        self._replies = [case.reply for case in training]

    def replies(self, cases: Sequence[Case]) -> list[str]:
        return [self._replies[index] for index in self._index.nearest([self._key(case) for case in cases])]

    def _key(self, case: Case) -> str:
        said = [turn.text for turn in case.history[-self._history :]]
        return "\n".join((*said, *case.facts) if self._facts else said)


def best_baseline(training: Sequence[Case], cases: Sequence[Case], facts: bool = False) -> NearestReply:
    """Of the last turn alone and the last three the one whose replies to the cases have the better chrF.

    Chosen on the very cases it is measured on: in the baseline's favour.
    """
    people = [case.reply for case in cases]
    made = [NearestReply(training, history, facts) for history in HISTORIES]
    return max(made, key=lambda baseline: chrf(baseline.replies(cases), people))
