"""Metrics against values worked out by hand."""

import math

import numpy as np
import pytest

from dialogue_predictor.evaluation import metrics
from dialogue_predictor.training.data.dialogues import Language


def test_perplexity_is_the_number_of_equally_likely_tokens() -> None:
    assert metrics.perplexity(3 * math.log(7), 3) == pytest.approx(7)
    assert metrics.perplexity(1e6, 1) == math.inf


@pytest.mark.parametrize(
    ("said", "people", "language"), [("a b c d e", "a b c d f", "en"), ("甲乙丙丁戊", "甲乙丙丁己", "zh")]
)
def test_bleu_counts_words_of_english_and_characters_of_chinese(said: str, people: str, language: Language) -> None:
    by_hand = (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** (1 / 4)  # no brevity penalty: as long as the reference
    assert metrics.bleu([said], [people], language) == pytest.approx(100 * by_hand)


def test_chrf_is_the_mean_over_character_grams() -> None:
    assert metrics.chrf(["ab"], ["ac"]) == pytest.approx(25)  # 1-grams: a half of both; 2-grams: none
    assert metrics.chrf(["same"], ["same"]) == pytest.approx(100)


def test_distinct_counts_over_all_replies_together() -> None:
    assert metrics.distinct(["a b A", "a b"], 1, "en") == pytest.approx(2 / 5)
    assert metrics.distinct(["a b a", "a b"], 2, "en") == pytest.approx(2 / 3)
    assert metrics.distinct(["好好 的"], 1, "zh") == pytest.approx(2 / 3)
    assert metrics.distinct(["one"], 2, "en") == 0


def test_degenerate_is_what_serving_calls_so() -> None:
    said = [("Of course.", True), ("", True), ("Of course", False), ("你好你好吗朋友", True)]
    assert metrics.degenerate_share(said, ["Can you help me?"] * 4) == 3 / 4


def test_numbers_are_known_when_they_stand_in_the_context() -> None:
    said, known = ["It costs 60 or 70.", "At 12:30.", "Yes."], ["60 dollars, 170 seats", "time: 12:30", "9"]
    assert metrics.numbers_known(said, known) == pytest.approx(2 / 3)
    assert metrics.numbers_known(["Yes."], [""]) == 1


def test_ranks_count_whoever_is_as_near() -> None:
    similarities = np.array([[0.9, 0.1, 0.2], [0.9, 0.2, 0.5], [0.4, 0.1, 0.4]], dtype=np.float32)
    ranks = metrics.ranks(similarities, [0, 1, 2])
    assert ranks == [1, 3, 2]
    assert [metrics.recall_at(ranks, k) for k in (1, 2, 3)] == pytest.approx([1 / 3, 2 / 3, 1])


def test_of_equally_near_candidates_each_counts_as_often() -> None:
    similarities = np.array([[1, 1, 0], [0, 0, 0], [0, 3, 1]], dtype=np.float32)
    assert metrics.nearest_accuracy(similarities, [[0], [2], [1]]) == pytest.approx((1 / 2 + 1 / 3 + 1) / 3)


def test_macro_accuracy_weighs_labels_alike() -> None:
    predicted, right = ["a", "a", "a", "c"], [{"a"}, {"a"}, {"b"}, {"a", "c"}]
    assert metrics.micro_accuracy(predicted, right) == 3 / 4
    assert metrics.macro_accuracy(predicted, right) == pytest.approx((1 + 0 + 1) / 3)


def test_percentiles_lie_between_values() -> None:
    assert metrics.percentile([10.0, 20.0], 50) == 15
