"""What every kind of measure answers, so that one judge serves all."""

from typing import Protocol

from dialogue_operator.rollout.gates.search import edge

# Points that the control alone refutes with so much evidence (e^20 to one) are not looked at: no gate asks for as much.
REFUTED = 20.0


class Question(Protocol):
    """One value, such as a share, or a difference of shares, of which only samples are known."""

    @property
    def estimate(self) -> float: ...

    @property
    def step(self) -> float:
        """About one standard error: how far to look at first."""

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the most that the value can be."""

    def above(self, limit: float) -> float:
        """Log evidence that the value is above the limit: against the hypothesis that it is at most that."""

    def below(self, limit: float) -> float:
        """Log evidence that the value is below the limit: against the hypothesis that it is at least that."""


def interval(question: Question, low_enough: float, high_enough: float) -> tuple[float, float]:
    """The confidence sequence at this look: every value that is not refuted with that much evidence."""
    low, high = question.bounds
    start, step = question.estimate, 2 * question.step
    return edge(question.above, start, step, low, low_enough), edge(question.below, start, step, high, high_enough)
