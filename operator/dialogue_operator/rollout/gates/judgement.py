"""What a gate answers."""

from dataclasses import dataclass

from dialogue_operator.api.status import Verdict


@dataclass(frozen=True)
class Judgement:
    verdict: Verdict
    samples: int  # of the candidate
    evidence: str  # the figures, in one sentence
