"""What the comparison of training loops makes of its samples; the measuring itself is for a quiet machine."""

import torch

from dialogue_predictor.bench.training import Result, Sample, ours, plain
from dialogue_predictor.training.batches import collate
from dialogue_predictor.training.data.examples import Example


def test_the_ratio_is_of_medians_and_falls_below_its_floor() -> None:
    def samples(*speeds: float) -> list[Sample]:
        return [Sample(speed, 1000, 1020) for speed in speeds]

    result = Result("fp32", 10, samples(80.0, 90.0, 10.0), samples(100.0, 101.0, 5.0))
    assert result.ratio == 0.8
    assert not result.failed
    assert Result("fp32", 10, samples(79.0), samples(100.0)).failed
    assert "| ours | 80 |" in result.table
    assert "after the first quarter: +2.0%" in result.table


def test_both_loops_count_the_same_tokens() -> None:
    torch.set_num_threads(1)
    batches = [collate([Example((5, 9, 10, 2), (7, 8, 2), "en")], decoder_start_id=1)]
    for loop in (ours, plain):
        sample = loop(batches, "fp32", 6)  # five to warm up, one of seven tokens
        assert sample.tokens_per_second > 0
        assert sample.late_memory >= sample.early_memory > 0
