"""A verdict's figures, in one sentence that someone on call understands."""

from collections.abc import Sequence

from dialogue_operator.rollout.evidence import Answer, Tally
from dialogue_operator.rollout.gates import measures
from dialogue_operator.rollout.gates.measures import Measured, Tolerance
from dialogue_operator.rollout.gates.percentiles import Percentile
from dialogue_operator.rollout.gates.question import Question
from dialogue_operator.rollout.gates.shares import Share, ShareDifference


def compared(
    metric: str, arms: Sequence[Measured], question: Question, interval: tuple[float, float], allowed: Tolerance
) -> str:
    """`errorRate 4.1 % of 812 against 0.9 % of 7,310; difference 3.2 (1.9 to 4.5) points, allowed at most 0.5`."""
    unit = measures.unit(metric)
    if len(arms) == 1:
        percent = isinstance(question, Share)
        reach = _reach(question, interval, percent)
        return f"{metric} {_value(arms[0])} of {_count(arms[0])} {unit} ({reach}), {_allowed(allowed, percent)}"
    (ours, theirs), points = arms, isinstance(question, ShareDifference)
    said = f"{metric} {_value(ours)} of {_count(ours)} {unit} against {_value(theirs)} of {_count(theirs)}"
    estimate = _number(question.estimate * 100 if points else question.estimate)
    named, unit = ("difference", " points") if points else ("ratio", "")
    return f"{said}; {named} {estimate} ({_reach(question, interval, points)}){unit}, {_allowed(allowed, points)}"


def too_few(metric: str, tallies: Sequence[Tally | None], needed: int) -> str:
    counts = [0.0 if tally is None else measures.samples(metric, tally) for tally in tallies]
    control = f" and {int(counts[1]):,} of the control" if len(counts) > 1 else ""
    return f"{metric}: {int(counts[0]):,}{control} of at least {needed:,} {measures.unit(metric)}"


def answered(value: float, count: int, allowed: Tolerance) -> str:
    return f"the query answers {value:.6g} after {count:,} answers, {_allowed(allowed, False)}"


def unanswered(answer: Answer | None, needed: int) -> str:
    if answer is None or answer.count <= 0:
        return "the query has not answered"
    if answer.count < needed:
        return f"{answer.count:,} of at least {needed:,} answers of the query"
    return "the query answers nothing that is a number"


def _value(arm: Measured) -> str:
    if isinstance(arm, Share):
        return f"{_number(arm.estimate * 100)} %"
    if isinstance(arm, Percentile):
        return f"{'over ' if arm.estimate >= arm.marks[-1] else ''}{_number(arm.estimate)} s"
    return _number(arm.estimate)


def _count(arm: Measured) -> str:
    return f"{int(arm.trials if isinstance(arm, Share) else arm.samples):,}"


def _reach(question: Question, interval: tuple[float, float], percent: bool) -> str:
    """From where to where; no end where the counts do not set one."""
    factor, (low, high), (_, most) = 100 if percent else 1, interval, question.bounds
    end = "any" if high >= most and not percent else _number(high * factor)
    return f"{_number(low * factor)} to {end}"


def _allowed(allowed: Tolerance, percent: bool) -> str:
    least, most = (
        None if end is None else _number(end * (100 if percent else 1)) for end in (allowed.least, allowed.most)
    )
    if least == most:
        return f"expected {most}"
    if least is not None and most is not None:
        return f"allowed {least} to {most}"
    return f"allowed at least {least}" if most is None else f"allowed at most {most}"


def _number(value: float) -> str:
    """Three digits, or whole numbers where there are more; never an exponent."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{float(f'{value:.3g}'):.6f}".rstrip("0").rstrip(".") or "0"
