"""Arrivals are a Poisson process, and a small replay answers everybody."""

import random
from pathlib import Path

import pytest

from dialogue_predictor.bench.arrivals import Replays, p95, poisson
from dialogue_predictor.bench.models import Shape, save

TINY = Shape(encoder_layers=1, decoder_layers=1, d_model=32, heads=4, ffn=48, vocabulary=60, live_end=True)


def test_arrivals_have_the_rate_and_are_the_same_for_a_seed() -> None:
    moments = poisson(20.0, 4000, random.Random(1))
    assert moments == poisson(20.0, 4000, random.Random(1))
    assert moments == sorted(moments)
    assert 4000 / moments[-1] == pytest.approx(20.0, rel=0.05)


def test_p95() -> None:
    assert p95([float(value) for value in range(101)]) == pytest.approx(95)


async def test_both_ways_of_batching_serve_every_round(tmp_path: Path) -> None:
    save(TINY, tmp_path / "tiny")
    found = await Replays(tmp_path / "tiny", TINY.vocabulary, requests=6).rounds([1, 2])
    assert found["rate"] > 0
    assert len(found["static"]) == len(found["continuous"]) == 2
    assert min(found["static"] + found["continuous"]) > 0
