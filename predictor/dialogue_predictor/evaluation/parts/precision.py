"""What a number format costs in replies: chrF on dialogues that the model has not seen, engine by engine.

A faster engine may choose another reply where two are nearly as likely. Whether that matters cannot be seen in scores,
only in replies beside those that people gave.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from dialogue_predictor.backends.engines.linear import Precision
from dialogue_predictor.evaluation.metrics import chrf, share
from dialogue_predictor.evaluation.report import Figure
from dialogue_predictor.evaluation.setting import Setting
from dialogue_predictor.evaluation.subject import Subject

PART = "precision"
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "int8")


def precision(setting: Setting, precisions: Sequence[Precision] = PRECISIONS) -> Iterator[Figure]:
    """Each subject's replies in each precision; `same` is the share that is word for word the first precision's.

    A precision that the processor lacks has no figures.
    """
    asked = {who: list(able(subject, precisions)) for who, subject in setting.subjects.items()}
    for corpus in setting.corpora.names():
        cases = setting.cases(corpus)
        people = [case.reply for case in cases]
        for who, subjects in asked.items():
            first: list[str] = []
            for subject in subjects:
                texts = [one.text for one in subject.replies([case.turns for case in cases])]
                first = first or texts
                same = share(ours == theirs for ours, theirs in zip(texts, first, strict=True))
                data = f"{corpus}, {subject.precision}"
                yield Figure(PART, data, "chrF", who, chrf(texts, people), len(cases))
                yield Figure(PART, data, f"same as {subjects[0].precision}", who, 100 * same, len(cases), "%")


def able(subject: Subject, precisions: Sequence[Precision]) -> Iterator[Subject]:
    """The subject in those precisions that the processor has."""
    for one in precisions:
        other = replace(subject, precision=one)
        try:
            other.engine  # noqa: B018
        except RuntimeError:
            continue
        yield other
