"""What a model should reach: each bound met and missed by a hair."""

import pytest

from dialogue_predictor.evaluation.report import Figure, Report
from dialogue_predictor.evaluation.verdicts import verdicts


def held(*figures: tuple[str, str, str, str, float]) -> list[bool]:
    return [one.holds for one in verdicts(Report({}, {}, tuple(Figure(*figure) for figure in figures)))]


@pytest.mark.parametrize(
    ("part", "data", "metric", "others", "enough", "too_little"),
    [
        ("replies", "sgd", "BLEU", {"TF-IDF": 7.0}, 7.0, 6.99),
        ("replies", "sgd", "BLEU", {"TF-IDF with facts": 9.0}, 9.0, 8.99),
        ("replies", "sgd", "chrF", {"teacher": 20.0}, 19.4, 19.39),
        ("replies", "sgd", "degenerate", {}, 2.0, 2.01),
        ("off-topic", "off-topic questions, en", "declined", {}, 60.0, 59.9),
        ("off-topic", "sgd", "declined falsely", {}, 5.0, 5.1),
        ("zero-shot intents", "sgd", "accuracy", {"TF-IDF": 40.0}, 40.0, 39.9),
        ("zero-shot intents", "sgd", "accuracy", {"chance": 10.0}, 30.0, 29.9),
        ("intent classifier", "those of the services asked for", "micro accuracy", {}, 90.0, 89.9),
        ("speed", "size", "parameters", {"teacher": 7.5}, 2.5, 2.51),
    ],
)
def test_bounds(part: str, data: str, metric: str, others: dict[str, float], enough: float, too_little: float) -> None:
    beside = [(part, data, metric, who, value) for who, value in others.items()]
    assert held((part, data, metric, "model", enough), *beside) == [True]
    assert held((part, data, metric, "model", too_little), *beside) == [False]


def test_int8_is_judged_by_the_same_models_fp32() -> None:
    exact = ("precision", "sgd, fp32", "chrF", "model", 20.0)
    assert held(exact, ("precision", "sgd, int8", "chrF", "model", 19.8)) == [True]
    assert held(exact, ("precision", "sgd, int8", "chrF", "model", 19.7)) == [False]


def test_nothing_is_judged_that_was_not_measured() -> None:
    assert held(("replies", "sgd", "chrF", "TF-IDF", 10.0), ("replies", "sgd", "distinct-1", "model", 1.0)) == []
    assert held(("replies", "sgd", "chrF", "model", float("nan")), ("replies", "sgd", "chrF", "TF-IDF", 10.0)) == []
