"""Arrivals are a Poisson process, and a small replay answers everybody."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from dialogue_predictor.backends.engines.cpu import CpuEngine
from dialogue_predictor.bench.arrivals import BATCH, OPTIONS, Replays, decode_whole, p95, poisson, replay_whole
from dialogue_predictor.bench.models import Shape, save
from dialogue_predictor.decoding.search import decode
from support.tiny_models import random_sources, tiny_model, token_ids

TINY = Shape(encoder_layers=1, decoder_layers=1, d_model=32, heads=4, ffn=48, vocabulary=60, live_end=True)


def test_arrivals_have_the_rate_and_are_the_same_for_a_seed() -> None:
    moments = poisson(20.0, 4000, random.Random(1))
    assert moments == poisson(20.0, 4000, random.Random(1))
    assert moments == sorted(moments)
    assert 4000 / moments[-1] == pytest.approx(20.0, rel=0.05)


def test_p95() -> None:
    assert p95([float(value) for value in range(101)]) == pytest.approx(95)


@pytest.mark.parametrize("leaving", [False, True])
async def test_both_ways_of_batching_serve_every_round(tmp_path: Path, leaving: bool) -> None:
    save(TINY, tmp_path / "tiny")
    found = await Replays(tmp_path / "tiny", TINY.vocabulary, requests=6).rounds([1, 2], leaving=leaving)
    assert found["rate"] > 0
    assert len(found["static"]) == len(found["continuous"]) == 2
    assert min(found["static"] + found["continuous"]) > 0


def test_a_batch_is_whoever_has_come_and_is_answered_as_a_whole() -> None:
    taken: list[list[int]] = []
    sources = [[number] for number in range(BATCH + 3)]

    def decode(batch: Sequence[Sequence[int]]) -> None:
        taken.append([source[0] for source in batch])

    latencies = replay_whole(decode, sources, [0.0] * (BATCH + 2) + [0.05])
    assert taken == [list(range(BATCH)), [BATCH, BATCH + 1], [BATCH + 2]]
    assert all(latency >= 0 for latency in latencies)


def test_a_whole_batch_says_what_each_says_alone() -> None:
    model = tiny_model(3, eos_bias=1.0)
    engine, ids = CpuEngine(model), token_ids(model.config)
    sources = random_sources(random.Random(2), 6)
    whole = decode_whole(engine, sources, ids)
    assert [each.best.tokens for each in whole] == [each.best.tokens for each in decode(engine, sources, OPTIONS, ids)]
