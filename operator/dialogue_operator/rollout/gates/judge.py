"""From evidence to a verdict.

Pass: the confidence sequence lies wholly inside the tolerance; Fail: wholly outside; else Inconclusive. The two errors
are split thus, for a whole rollout that is looked at all the time:

- False promotion ≤ 1 %. A revision that is too bad in one measure is promoted only if *that* gate passes at every step that
  asks it: its own error of 1 % is all there is, however many gates and steps there are (an intersection-union test:
  Berger 1982, "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24(4)).
- False abort ≤ 1 %. Any gate at any step may abort, so this 1 % is divided by `comparisons`: gates × steps (Bonferroni).

Evidence starts anew at each step, and each step's is a sequence of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, log

from dialogue_operator.api.rollout import Gate
from dialogue_operator.api.status import Verdict
from dialogue_operator.rollout.evidence import Answer, Tally
from dialogue_operator.rollout.gates import measures, wording
from dialogue_operator.rollout.gates.judgement import Judgement
from dialogue_operator.rollout.gates.measures import Tolerance, Unusable
from dialogue_operator.rollout.gates.question import Question, interval

FALSE_PROMOTION = 0.01
FALSE_ABORT = 0.01


def judge(
    gate: Gate, candidate: Tally | None, control: Tally | None, answer: Answer | None = None, comparisons: int = 1
) -> Judgement:
    """What this gate says now of what was counted since the step began.

    `comparisons`: how many verdicts the whole rollout asks for: gates × steps.
    """
    if gate.metric is None:
        return _of_an_answer(gate, answer)
    tallies = [candidate] if gate.margin is None else [candidate, control]
    allowed = measures.tolerance(gate)
    return _of_samples(gate, gate.metric, tallies, _Rule(allowed, allowed, comparisons))


def differs(gate: Gate, a: Tally | None, b: Tally | None, comparisons: int = 1) -> Judgement:
    """An A/A check, of two arms that serve the same: Fail where they differ at all, which nothing in them explains.

    Pass only where they are shown to differ by less than the gate's margin; without a margin that cannot be shown.
    """
    if gate.metric is None:
        return Judgement("NoData", 0, "a query has no second arm to compare with")
    rule = _Rule(measures.either_way(gate), measures.no_difference(gate.metric), comparisons)
    return _of_samples(gate, gate.metric, [a, b], rule)


@dataclass(frozen=True)
class _Rule:
    """Pass inside `allowed`, Fail outside `tolerated`, and how sure one must be."""

    allowed: Tolerance | None
    tolerated: Tolerance
    comparisons: int

    @property
    def failing(self) -> float:
        return log(self.tolerated.sides * max(1, self.comparisons) / FALSE_ABORT)

    @property
    def passing(self) -> float:
        """With two sides the stricter level serves both, so that one interval explains both."""
        return self.failing if self.tolerated.sides == 2 else log(1 / FALSE_PROMOTION)

    def passes(self, question: Question) -> bool:
        if self.allowed is None:
            return False
        least, most = self.allowed.least, self.allowed.most
        above = least is None or question.above(least) >= self.passing
        return above and (most is None or question.below(most) >= self.passing)

    def fails(self, question: Question) -> bool:
        least, most = self.tolerated.least, self.tolerated.most
        below = least is not None and question.below(least) >= self.failing
        return below or (most is not None and question.above(most) >= self.failing)

    def interval(self, question: Question) -> tuple[float, float]:
        low, high = (self.failing, self.passing) if self.tolerated.least is None else (self.passing, self.failing)
        return interval(question, low, high)


def _of_an_answer(gate: Gate, answer: Answer | None) -> Judgement:
    """A query's number comes without its spread: it is compared as it stands, once it was given often enough."""
    count = max(0, answer.count) if answer else 0
    if answer is None or answer.value is None or isnan(answer.value) or count < gate.min_samples:
        return Judgement("NoData", count, wording.unanswered(answer, gate.min_samples))
    allowed = measures.tolerance(gate)
    verdict: Verdict = "Pass" if allowed.holds(answer.value) else "Fail"
    return Judgement(verdict, count, wording.answered(answer.value, count, allowed))


def _of_samples(gate: Gate, metric: str, tallies: Sequence[Tally | None], rule: _Rule) -> Judgement:
    found = [tally for tally in tallies if tally is not None]
    try:
        counts = [measures.samples(metric, tally) for tally in found]
        samples, needed = int(counts[0]) if tallies[0] else 0, measures.fewest(gate)
        if len(found) < len(tallies) or min(counts) < needed:
            return Judgement("NoData", samples, wording.too_few(metric, tallies, needed))
        arms = [measures.measured(metric, tally) for tally in found]
        question: Question = arms[0] if len(arms) == 1 else measures.compared(*arms)
    except Unusable as reason:
        return Judgement("Inconclusive", 0, f"{metric}: {reason}")
    verdict: Verdict = "Fail" if rule.fails(question) else "Pass" if rule.passes(question) else "Inconclusive"
    said = wording.compared(metric, arms, question, rule.interval(question), rule.tolerated)
    return Judgement(verdict, samples, said)
