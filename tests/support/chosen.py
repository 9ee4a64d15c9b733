"""The seam where a test chooses what gates say: a tally that carries its verdict, in place of counts to be weighed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

from dialogue_operator.api.rollout import Gate
from dialogue_operator.api.status import Verdict
from dialogue_operator.rollout.evidence import Answer, Tally
from dialogue_operator.rollout.gates import Judgement


@dataclass(frozen=True)
class Chosen(Tally):
    """What every gate says of this revision."""

    verdict: Verdict = "NoData"


def judge(
    gate: Gate, candidate: Tally | None, control: Tally | None, answer: Answer | None = None, comparisons: int = 1
) -> Judgement:
    verdict: Verdict = candidate.verdict if isinstance(candidate, Chosen) else "NoData"
    return Judgement(verdict, 1, "as chosen")


def differs(gate: Gate, a: Tally | None, b: Tally | None, comparisons: int = 1) -> Judgement:
    return judge(gate, a, b)


@contextmanager
def chosen_verdicts() -> Iterator[None]:
    """`rollout.judgement` asks the tally itself: all the rest of a decision is as it is."""
    with (
        patch("dialogue_operator.rollout.judgement.judge", judge),
        patch("dialogue_operator.rollout.judgement.differs", differs),
    ):
        yield
