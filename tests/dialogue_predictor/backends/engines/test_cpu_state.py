"""Sources that come, move and leave in memory that is used again, against the readable model, which copies everything."""

import random
import threading
from typing import Any

import pytest
import torch
from torch import Tensor

from dialogue_predictor.backends.engines.cpu import CpuEngine
from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.decoding.search import decode, padded
from dialogue_predictor.model.incremental import IncrementalModel
from support.tiny_models import random_sources, tiny_model, token_ids

CPU = torch.device("cpu")


class Both:
    """Two engines that are asked the same, and must answer the same."""

    def __init__(self, seed: int) -> None:
        model = tiny_model(seed, copy=seed % 2 == 0)
        self.engines: tuple[Any, Any] = CpuEngine(model), IncrementalModel(model)
        self.states: list[Any] = []
        self.dice = random.Random(seed)

    def encode(self, count: int, beams: int) -> list[Any]:
        source, mask = padded(random_sources(self.dice, count, longest=self.dice.choice([3, 12, 30])), 0, CPU)
        index = torch.arange(count)[:, None].expand(-1, beams)
        return [engine.reorder(engine.encode(source, mask), index) for engine in self.engines]

    def join(self, newcomers: list[Any]) -> None:
        pairs = zip(self.engines, self.states, newcomers, strict=True)
        self.states = [engine.join((state, new)) for engine, state, new in pairs]

    def reorder(self, index: Tensor) -> None:
        self.states = [engine.reorder(state, index) for engine, state in zip(self.engines, self.states, strict=True)]

    def seat(self, sources: Tensor, newcomers: list[Any]) -> None:
        """The readable model has no seats: newcomers join behind, and then change places with those who leave."""
        engine, readable = self.engines
        state, other = self.states
        beams, count = state.beams, state.sources
        rows = torch.arange(count)
        rows[sources] = torch.arange(count, count + len(sources))
        joined = readable.join((other, newcomers[1]))
        index = rows[:, None] * beams + torch.arange(beams)
        self.states = [engine.seat(state, sources, newcomers[0]), readable.reorder(joined, index)]

    def step(self) -> None:
        count, beams = self.states[0].sources, self.states[0].beams
        tokens = torch.tensor([[self.dice.randrange(3, 60) for _ in range(beams)] for _ in range(count)])
        scores = []
        for number, engine in enumerate(self.engines):
            hidden, self.states[number] = engine.step(self.states[number], tokens)
            scores.append(engine.project(hidden.flatten(0, 1))[:, :60].log_softmax(dim=1))
        torch.testing.assert_close(*scores, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("seed", range(8))
@torch.inference_mode()
def test_whoever_comes_moves_or_leaves(seed: int) -> None:
    both = Both(seed)
    dice, beams = both.dice, both.dice.choice([1, 3, 4])
    both.states = both.encode(dice.randint(1, 4), beams)
    for _ in range(40):
        both.step()
        count = both.states[0].sources
        what = dice.choice(["branch", "join", "seat", "leave", "move"])
        if what == "branch":
            both.reorder(
                torch.tensor([[row * beams + dice.randrange(beams) for _ in range(beams)] for row in range(count)])
            )
        elif what == "join" and count < 9:
            both.join(both.encode(dice.randint(1, 3), beams))
        elif what == "seat":
            places = dice.sample(range(count), dice.randint(1, count))
            both.seat(torch.tensor(places), both.encode(len(places), beams))
        elif what in ("leave", "move"):
            rows = dice.sample(range(count), count if what == "move" else dice.randint(1, count))
            both.reorder(torch.tensor(rows)[:, None] * beams + torch.arange(beams))


@torch.inference_mode()
def test_a_source_that_is_there_twice_gets_a_place_of_its_own() -> None:
    both = Both(2)
    both.states = both.encode(2, 2)
    both.step()
    both.reorder(torch.tensor([[2, 3], [0, 1], [2, 2], [1, 0]]))
    for _ in range(3):
        both.step()


def test_two_threads_decode_with_one_engine_what_one_does() -> None:
    model = tiny_model(3, eos_bias=1.0)
    engine, ids = CpuEngine(model), token_ids(model.config)
    options = GenerationOptions(num_beams=3, max_new_tokens=20, no_repeat_ngram=0)
    batches = [random_sources(random.Random(seed), 5) for seed in range(4)]
    wanted = [decode(engine, batch, options, ids) for batch in batches]
    found: dict[int, list[Any]] = {}

    def work(number: int) -> None:
        torch.set_num_threads(1)
        found[number] = [decode(engine, batches[number], options, ids) for _ in range(3)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, expected in enumerate(wanted):
        assert found[number] == [expected] * 3


@torch.inference_mode()
def test_a_batch_finds_the_memory_of_the_one_before() -> None:
    engine = CpuEngine(tiny_model(1))

    def encoded() -> tuple[int, int]:
        state = engine.encode(*padded([[5, 6], [7, 8]], 0, CPU))
        return state.memory.keys.data_ptr(), state.past.keys.data_ptr()

    assert encoded() == encoded()


@torch.inference_mode()
def test_those_who_stay_are_not_copied() -> None:
    """Their keys and values stay at their addresses when others leave and newcomers take the places left."""
    engine = CpuEngine(tiny_model(1))
    state = engine.encode(*padded([[5, 6]] * 4, 0, CPU))
    _, state = engine.step(state, torch.full((4, 1), 2))
    where, room = state.past.keys.data_ptr(), state.past
    state = engine.reorder(state, torch.tensor([[0], [3], [2]]))
    state = engine.join((state, engine.encode(*padded([[9]], 0, CPU))))
    assert state.past is room
    assert state.past.keys.data_ptr() == where
    assert state.lengths.tolist() == [1, 1, 1, 0]
