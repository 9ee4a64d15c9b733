"""The measuring of a turn, as far as a CPU goes: that it runs whole replies, and what bytes it counts."""

import pytest
import torch

from dialogue_predictor.backends.engines.cuda import CudaEngine
from dialogue_predictor.backends.engines.cuda_cost import TurnCost, copying_speed, turn_bytes, turn_cost, turn_seconds
from dialogue_predictor.backends.engines.cuda_state import CudaState
from dialogue_predictor.decoding.beam import BeamState
from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.decoding.rules import Rules
from support.tiny_models import tiny_model

CPU = torch.device("cpu")
OPTIONS = GenerationOptions(num_beams=4, max_new_tokens=8)


def test_it_times_all_turns_but_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = []
    engine = CudaEngine(tiny_model(), device=CPU)

    def turn(state: CudaState, beams: BeamState, _: Rules) -> tuple[BeamState, CudaState]:
        turns.append(state.sources)
        return beams, state

    monkeypatch.setattr(engine, "turn", turn)
    assert turn_seconds(engine, OPTIONS, sources=3, source_tokens=5) > 0
    assert turns == [3] * 7
    assert copying_speed(CPU, size=1 << 20) > 0


def test_bytes_of_a_turn() -> None:
    model = tiny_model(vocab_size=64, d_model=32, heads=4, ffn=48, encoder_layers=1, decoder_layers=2)
    attention = 4 * (32 * 32 + 32)
    layer = 2 * attention + 3 * 2 * 32 + 2 * 32 * 48 + 48 + 32
    unread = 2 * (32 * 32 + 32)  # cross-attention's keys and values are made once a source
    weights = 2 * (64 * 32 + 2 * (layer - unread))
    keys_values = 3 * (5 + 4 * 8 // 2) * 2 * 2 * 32 * 2
    logits = 3 * 4 * 64 * 4
    engine = CudaEngine(model, device=CPU)
    assert turn_bytes(engine.weights, OPTIONS, sources=3, source_tokens=5) == weights + keys_values + logits


def test_roofline_is_the_bytes_time_over_the_graphs() -> None:
    cost = TurnCost(graph_seconds=4e-4, eager_seconds=1e-3, turn_bytes=400_000, bytes_per_second=4e9)
    assert cost.roofline == pytest.approx(0.25)
    assert cost.graph_speedup == pytest.approx(2.5)


def test_without_a_gpu_there_is_nothing_to_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="no NVIDIA GPU"):
        turn_cost(tiny_model(), OPTIONS)
