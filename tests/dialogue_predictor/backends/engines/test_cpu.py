"""The CPU engine against the readable one: the same numbers, whatever the batch, the padding, and who came when."""

import copy
import random
from typing import Any

import pytest
import torch
from torch import Tensor

from dialogue_predictor.backends.engines.cpu import CpuEngine
from dialogue_predictor.backends.engines.cpu_state import CpuState
from dialogue_predictor.backends.engines.linear import Precision
from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.decoding.outcome import Outcome
from dialogue_predictor.decoding.search import Search, decode, padded
from dialogue_predictor.model.incremental import IncrementalModel
from support.tiny_models import random_options, random_sources, tiny_model, token_ids

SHAPES: dict[str, dict[str, Any]] = {
    "mBART": {"pre_norm": True, "activation": "gelu"},
    "BART": {"pre_norm": False, "activation": "relu", "scale_embedding": False},
    "Marian": {"pre_norm": False, "activation": "swish", "positions": "sinusoidal", "layernorm_embedding": False},
    "copying": {"copy": True},
    "shared layers": {"shared_layers": True, "encoder_layers": 3, "decoder_layers": 3},
    "lost heads": {"heads": 3, "head_size": 6, "copy": True},
}
TOLERANCE: dict[Precision, float] = {"fp32": 1e-4, "bf16": 0.3, "int8": 0.3}
"""How far a log-probability may be off in these tiny models, whose logits spread over some tens."""


def log_probs(engine: Any, state: Any, tokens: Tensor) -> tuple[Tensor, Any]:
    hidden, state = engine.step(state, tokens)
    logits = engine.project(hidden.flatten(0, 1))[:, :60]
    return torch.log_softmax(logits.double(), dim=1), state


def beams_of(dice: random.Random, rows: int, beams: int) -> Tensor:
    """Random rows of B sources with `beams` beams each, every one within its source."""
    return torch.tensor([[row * beams + dice.randrange(beams) for _ in range(3)] for row in range(rows)])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("precision", TOLERANCE)
def test_scores_are_those_of_the_readable_model(precision: Precision, shape: str) -> None:
    """Also while beams are shuffled for longer than the cache has room, and sources leave."""
    dice = random.Random(1)
    model = tiny_model(3, spread=6.0, **SHAPES[shape])
    reference, engine = IncrementalModel(model), CpuEngine(model, precision)
    source, mask = padded(random_sources(dice, 5), 0, torch.device("cpu"))
    expected, state = reference.encode(source, mask), engine.encode(source, mask)
    tokens, beams, rows = torch.full((5, 1), 2), 1, 5
    worst = 0.0
    for step in range(40):
        wanted, expected = log_probs(reference, expected, tokens)
        got, state = log_probs(engine, state, tokens)
        worst = max(worst, float((wanted - got).abs().mean()))
        index = beams_of(dice, rows, beams)
        if step in (11, 23):
            index = index[1:]
        rows, beams = index.shape
        expected, state = reference.reorder(expected, index), engine.reorder(state, index)
        tokens = torch.tensor([[dice.randrange(3, 60) for _ in range(beams)] for _ in range(rows)])
    assert worst < TOLERANCE[precision]


@pytest.mark.parametrize("shape", SHAPES)
def test_replies_are_those_of_the_readable_model(shape: str) -> None:
    dice = random.Random(2)
    same = cases = 0
    for seed in range(40):
        model = tiny_model(seed, **SHAPES[shape])
        options, sources = random_options(dice), random_sources(dice, 3)
        wanted = decode(IncrementalModel(model), sources, options, token_ids(model.config))
        got = decode(CpuEngine(model), sources, options, token_ids(model.config))
        for theirs, ours in zip(wanted, got, strict=True):
            cases += 1
            same += ours.best.tokens == theirs.best.tokens
            assert ours.best.score == pytest.approx(theirs.best.score, abs=1e-3)
    assert same >= 0.97 * cases  # rounding decides near ties


@torch.inference_mode()
def test_what_is_copied_is_what_teacher_forcing_copies() -> None:
    """Also tokens that the source has several times, the token that pads, and sources of other lengths that come later."""
    model = tiny_model(5, spread=6.0, copy=True)
    engine = CpuEngine(model)
    batches = [[[5, 6, 5, 5, 0, 6], [0, 7]], [[8] * 9, [9, 0, 9]], [[10]]]
    targets = [[2, 5, 6, 7], [2, 8, 0, 9], [2, 9, 9, 0], [2, 0, 8, 8], [2, 10, 10, 3]]
    states = [engine.encode(*padded(batch, 0, torch.device("cpu"))) for batch in batches]
    state = engine.join(states)
    sources = [source for batch in batches for source in batch]
    for step in range(4):
        hidden, state = engine.step(state, torch.tensor([target[step : step + 1] for target in targets]))
        found = engine.project(hidden[:, 0])[:, :60]
        for row, (source, target) in enumerate(zip(sources, targets, strict=True)):
            taught = model(*padded([source], 0, torch.device("cpu")), torch.tensor([target[: step + 1]]))[0, -1]
            torch.testing.assert_close(found[row], taught, atol=1e-4, rtol=1e-4)
        assert torch.allclose(found.exp().sum(dim=1), torch.ones(len(sources)))
        if step == 1:
            kept = torch.tensor([[4], [1], [2], [3]])
            sources, targets = ([rows[row] for row in (4, 1, 2, 3)] for rows in (sources, targets))
            state = engine.reorder(state, kept)


def test_a_model_without_a_copy_head_carries_nothing_for_one() -> None:
    engine = CpuEngine(tiny_model(1))
    state = engine.encode(*padded([[5, 6]], 0, torch.device("cpu")))
    hidden, _ = engine.step(state, torch.tensor([[2]]))
    assert state.pointable is None
    assert hidden.shape == (1, 1, 32)


def test_shared_layers_are_packed_once_and_remember_the_source_once() -> None:
    engine = CpuEngine(tiny_model(1, shared_layers=True, decoder_layers=3), release=True)
    state = engine.encode(*padded([[5, 6]], 0, torch.device("cpu")))
    assert (len(state.memory.keys), len(state.past.keys)) == (1, 3)
    assert len({id(layer) for layer in engine._decoder}) == 1


@pytest.mark.parametrize("copying", [False, True])
def test_sources_that_join_say_what_they_say_alone(copying: bool) -> None:
    dice = random.Random(5)
    model = tiny_model(4, eos_bias=1.0, copy=copying)
    engine, ids = CpuEngine(model), token_ids(model.config)
    options = GenerationOptions(num_beams=3, max_new_tokens=40, no_repeat_ngram=0)
    sources = random_sources(dice, 12)
    search = Search(engine, options, ids)
    waiting = list(range(12))
    numbers: dict[int, int] = {}
    said: dict[int, Outcome | None] = {}
    while waiting or search.active:
        if waiting and dice.random() < 0.4:
            coming = [waiting.pop() for _ in range(min(len(waiting), dice.randint(1, 3)))]
            numbers.update(zip(search.admit([sources[each] for each in coming]), coming, strict=True))
        for progress in search.advance():
            said[numbers[progress.source]] = progress.outcome
    for each, source in enumerate(sources):
        alone = decode(engine, [source], options, ids)[0]
        outcome = said[each]
        assert outcome is not None
        assert outcome.best.score == pytest.approx(alone.best.score, abs=1e-3)
        assert outcome.best.tokens == alone.best.tokens


@pytest.mark.parametrize("precision", TOLERANCE)
def test_what_neighbours_say_changes_no_bit(precision: Precision) -> None:
    """int8 too: a row's scale is its own."""
    dice = random.Random(6)
    engine = CpuEngine(tiny_model(1), precision)
    own = [5, 6, 7, 8]

    def numbers(neighbours: list[list[int]]) -> Tensor:
        source, mask = padded([own, *neighbours], 0, torch.device("cpu"))
        state = engine.encode(source, mask)
        said = []
        for token in (2, 9, 10):
            tokens = torch.tensor([[token], *[[dice.randrange(3, 60)] for _ in neighbours]])
            hidden, state = engine.step(state, tokens)
            said.append(engine.project(hidden.flatten(0, 1))[0])
        return torch.stack(said)

    first, second = (numbers([[dice.randrange(3, 60) for _ in range(4)] for _ in range(6)]) for _ in range(2))
    assert torch.equal(first, second)


@torch.inference_mode()
def test_nothing_behind_the_written_slots_is_looked_at() -> None:
    """What a buffer held before may be no number at all."""
    engine = CpuEngine(tiny_model(1))
    source, mask = padded([[5, 6], [7, 8, 9]], 0, torch.device("cpu"))

    def spoilt(state: CpuState) -> CpuState:
        for cached in (state.past.keys, state.past.values):
            cached[:, :, :, state.slots :] = float("nan")
        return state

    early = spoilt(engine.encode(source, mask))
    for _ in range(3):
        hidden, early = engine.step(early, torch.full((2, 1), 4))
    late = spoilt(engine.encode(source[:1], mask[:1]))
    hidden, late = engine.step(late, torch.full((1, 1), 2))
    hidden, joined = engine.step(engine.join((early, late)), torch.full((3, 1), 5))
    assert bool(hidden.isfinite().all())
    assert joined.lengths.tolist() == [4, 4, 2]


@pytest.mark.parametrize("copying", [False, True])
@pytest.mark.parametrize("newcomer", [[5], [5, 6, 7, 8], list(range(10, 22))])
@torch.inference_mode()
def test_a_newcomer_in_anothers_place_finds_nothing_of_it(newcomer: list[int], copying: bool) -> None:
    """Shorter, as long, and longer than the sources there; what was there may have been no number at all."""
    engine = CpuEngine(tiny_model(2, copy=copying))

    def encoded(*sources: list[int]) -> CpuState:
        state = engine.encode(*padded(sources, 0, torch.device("cpu")))
        return engine.reorder(state, torch.arange(len(sources))[:, None].expand(-1, 3))

    def said(state: CpuState, rows: int) -> tuple[Tensor, CpuState]:
        hidden, state = engine.step(state, torch.arange(4, 4 + 3 * rows).view(rows, 3))
        return hidden, state

    state = encoded([5, 6], [7, 8, 9, 10], [11])
    for _ in range(3):
        _, state = said(state, 3)
    others = copy.deepcopy(state)
    others = engine.reorder(others, torch.tensor([[0, 1, 2], [6, 7, 8]]))
    for cached in (state.memory.keys, state.memory.values, state.past.keys, state.past.values):
        cached[:, 1] = float("nan")
    alone = encoded(newcomer)
    state = engine.seat(state, torch.tensor([1]), encoded(newcomer))
    tokens = torch.tensor([[4, 5, 6], [20, 21, 22], [7, 8, 9]])
    for _ in range(3):
        hidden, state = engine.step(state, tokens)
        own, alone = engine.step(alone, tokens[1:2])
        rest, others = engine.step(others, tokens[[0, 2]])
        for found, expected in ((hidden[1:2], own), (hidden[[0, 2]], rest)):
            scores, wanted = (engine.project(each.flatten(0, 1))[:, :60] for each in (found, expected))
            torch.testing.assert_close(scores, wanted, atol=1e-4, rtol=1e-4)
    assert state.lengths.tolist() == [6, 3, 6]


@torch.inference_mode()
def test_steps_beyond_the_last_position_do_no_harm() -> None:
    """A source that has its reply stays in the batch until others leave as well."""
    engine = CpuEngine(tiny_model(1, max_positions=6))
    state = engine.encode(torch.full((2, 4), 5), torch.ones(2, 4, dtype=torch.bool))
    for _ in range(9):
        hidden, state = engine.step(state, torch.full((2, 1), 4))
    assert bool(hidden.isfinite().all())


def test_a_source_longer_than_the_positions_is_refused() -> None:
    engine = CpuEngine(tiny_model(1, max_positions=8))
    with pytest.raises(ValueError, match="9 tokens exceeds 8 positions"):
        engine.encode(torch.full((1, 9), 5), torch.ones(1, 9, dtype=torch.bool))


def test_a_released_model_is_not_in_memory_twice_and_answers_the_same() -> None:
    model, options = tiny_model(7), GenerationOptions(num_beams=2, max_new_tokens=12)
    sources, ids = [[5, 6, 7], [8, 9]], token_ids(model.config)
    kept = decode(CpuEngine(model), sources, options, ids)
    released = decode(CpuEngine(model, release=True), sources, options, ids)
    assert released == kept
    emptied = [each.weight.numel() for each in model.modules() if isinstance(each, torch.nn.Linear)]
    assert emptied == [0] * len(emptied)
