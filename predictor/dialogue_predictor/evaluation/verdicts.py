"""What a model of use should reach, each against the figure that it is judged by: beside baselines, teacher and chance."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from dialogue_predictor.evaluation.report import MODEL, TEACHER, Figure, Report

BASELINES = ("TF-IDF", "TF-IDF with facts")
DEGENERATE_MOST = 2.0
DECLINED_LEAST, FALSELY_MOST = 60.0, 5.0
TIMES_CHANCE = 3.0
CLASSIFIER_LEAST = 90.0
OF_TEACHER, OF_TEACHERS_PARAMETERS = 0.97, 1 / 3
OF_FP32 = 0.99


@dataclass(frozen=True, slots=True)
class Verdict:
    """`value` is to be at least `bound`, or at most where `at_most` is set. `why`: what the bound is."""

    what: str
    value: float
    bound: float
    why: str
    unit: str = ""
    at_most: bool = False

    @property
    def holds(self) -> bool:
        return self.value <= self.bound if self.at_most else self.value >= self.bound


def verdicts(report: Report) -> list[Verdict]:
    """On whatever the report has figures of, in their order."""
    found = {(figure.part, figure.data, figure.metric, figure.who): figure.value for figure in report.figures}
    own = [figure for figure in report.figures if figure.who == MODEL and math.isfinite(figure.value)]
    return [verdict for figure in own for verdict in judged(figure, found)]


def judged(figure: Figure, found: dict[tuple[str, str, str, str], float]) -> Iterator[Verdict]:
    part, data, metric, value = figure.part, figure.data, figure.metric, figure.value
    what = f"{metric} on {data}"
    teacher = found.get((part, data, metric, TEACHER))
    chance = found.get((part, data, metric, "chance"))
    if part in ("replies", "zero-shot intents") and metric in ("BLEU", "chrF", "accuracy"):
        for who in BASELINES:
            baseline = found.get((part, data, metric, who))
            if baseline is not None:
                yield Verdict(what, value, baseline, f"that of {who}", figure.unit)
    if part == "replies" and metric == "chrF" and teacher is not None:
        yield Verdict(what, value, OF_TEACHER * teacher, "97 % of the teacher's")
    if metric == "degenerate":
        yield Verdict(what, value, DEGENERATE_MOST, "of all replies", "%", at_most=True)
    if metric == "declined":
        yield Verdict(what, value, DECLINED_LEAST, "of the questions", "%")
    if metric == "declined falsely":
        yield Verdict(what, value, FALSELY_MOST, "of the dialogues", "%", at_most=True)
    if part == "zero-shot intents" and chance is not None:
        yield Verdict(what, value, TIMES_CHANCE * chance, "three times chance", "%")
    if part == "intent classifier" and metric == "micro accuracy" and "asked for" in data:
        yield Verdict(what, value, CLASSIFIER_LEAST, "of the turns", "%")
    if metric == "parameters" and teacher is not None:
        yield Verdict(
            metric, value, OF_TEACHERS_PARAMETERS * teacher, "a third of the teacher's", figure.unit, at_most=True
        )
    corpus, _, precision = data.partition(", ")
    if part == "precision" and metric == "chrF" and precision == "int8":
        exact = found.get((part, f"{corpus}, fp32", metric, MODEL))
        if exact is not None:
            yield Verdict(what, value, OF_FP32 * exact, "99 % of fp32's")
