"""What a search says: its final hypotheses, and on the way the tokens that are already settled."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Hypothesis:
    """New tokens without start and end; `complete` when it came to its end, false when it was cut off.

    `score` is the sum of log-probabilities, the end's included, over length to the power of the penalty.
    """

    tokens: tuple[int, ...]
    score: float
    complete: bool


@dataclass(frozen=True)
class Outcome:
    """A source's hypotheses, the best first; at least one."""

    hypotheses: tuple[Hypothesis, ...]

    @property
    def best(self) -> Hypothesis:
        return self.hypotheses[0]

    @property
    def margin(self) -> float | None:
        """By how much the best score leads the second, None when there is no second."""
        if len(self.hypotheses) < 2:
            return None
        return self.best.score - self.hypotheses[1].score


@dataclass(frozen=True)
class Progress:
    """News of one source after a step: the tokens newly settled, and the outcome once it is known.

    The tokens of all news of a source, joined, are exactly its best hypothesis. `broken`: the model gave scores that
    are no numbers, so that there will be no outcome; other sources go on.
    """

    source: int
    tokens: tuple[int, ...]
    outcome: Outcome | None = None
    broken: bool = False
