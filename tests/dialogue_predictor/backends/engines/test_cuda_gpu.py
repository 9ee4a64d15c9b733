"""What only a GPU shows: that captured turns compute what eager ones do, keep their memory, and take no host along."""

import random

import pytest
import torch

from dialogue_predictor.backends.engines.cuda import CudaEngine, cuda_engine
from dialogue_predictor.backends.engines.cuda_cost import turn_cost, turn_seconds
from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.decoding.search import decode
from dialogue_predictor.model.incremental import IncrementalModel
from support.tiny_models import random_options, random_sources, tiny_model, token_ids

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")

GPU = torch.device("cuda")


@pytest.mark.parametrize("seed", range(8))
def test_graphed_replies_are_the_eager_ones(seed: int) -> None:
    dice = random.Random(seed)
    model = tiny_model(seed, d_model=64)
    options, ids = random_options(dice, max_new_tokens=24), token_ids(model.config)
    graphed, eager = cuda_engine(model), cuda_engine(model, graphs=False)
    for size in (1, 2, 3, 4, 7, 32):
        sources = random_sources(dice, size, longest=20)
        for _ in range(2):
            assert decode(graphed, sources, options, ids, GPU) == decode(eager, sources, options, ids, GPU)


@pytest.mark.parametrize("seed", range(4))
def test_exact_replies_are_the_references(seed: int) -> None:
    dice = random.Random(seed)
    model = tiny_model(seed, d_model=64).double()
    options, ids = random_options(dice, max_new_tokens=24), token_ids(model.config)
    engine = CudaEngine(model, device=GPU, precision=torch.float64)
    sources = random_sources(dice, 7, longest=20)
    found = decode(engine, sources, options, ids, GPU)
    expected = decode(IncrementalModel(model), sources, options, ids)
    assert [each.best.tokens for each in found] == [each.best.tokens for each in expected]


def test_replays_take_no_memory() -> None:
    engine = cuda_engine(tiny_model(d_model=64))
    options = GenerationOptions(num_beams=4, max_new_tokens=24)
    taken = []
    for _ in range(5):
        turn_seconds(engine, options, sources=8, source_tokens=20)
        taken.append((torch.cuda.memory_allocated(), torch.cuda.memory_reserved()))
    assert len(set(taken[1:])) == 1


def test_no_turn_waits_for_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = cuda_engine(tiny_model(d_model=64), graphs=False)
    options = GenerationOptions(num_beams=4, max_new_tokens=24)
    turn_seconds(engine, options, sources=8, source_tokens=20)
    take = engine.turns.take

    def strict(*given: object) -> object:
        torch.cuda.set_sync_debug_mode("error")
        try:
            return take(*given)  # type: ignore[arg-type]
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(engine.turns, "take", strict)
    turn_seconds(engine, options, sources=8, source_tokens=20)


def test_the_cost_of_a_turn_is_measured() -> None:
    cost = turn_cost(tiny_model(d_model=64), GenerationOptions(num_beams=4, max_new_tokens=24))
    assert cost.graph_seconds > 0
    assert 0 < cost.roofline < 1
