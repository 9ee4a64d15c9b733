"""Whole turns of the CUDA engine on a CPU: replies as the reference's, recorded turns, addresses, no questions.

What a CUDA graph does is done here by a `Tape`; the graph itself is for `test_cuda_gpu.py`.
"""

import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dialogue_predictor.artifacts.bundle import locate, open_bundle
from dialogue_predictor.artifacts.weights import load_model
from dialogue_predictor.backends.engines.cuda import CudaEngine, cuda_engine
from dialogue_predictor.backends.engines.cuda_state import CudaState, tensors
from dialogue_predictor.backends.engines.cuda_turn import StaticTurn
from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.decoding.outcome import Hypothesis, Outcome
from dialogue_predictor.decoding.search import Search, decode, padded
from dialogue_predictor.model.incremental import IncrementalModel
from dialogue_predictor.model.transformer import DialogueTransformer
from dialogue_predictor.text.dialogue import Turn
from dialogue_predictor.text.prompt import build_prompt
from dialogue_predictor.text.tokenizer import Tokenizer
from support.tiny_models import UNUSUAL_OPTIONS, random_options, random_sources, tiny_model, token_ids

CPU = torch.device("cpu")
SAID = [
    "hello",
    "I'm looking for a cheap restaurant in San Jose.",
    "I want to book a flight to New York.",
    "Find me a hotel in London.",
    "What is the weather like today?",
    "你好，请帮我推荐一个酒店",
    "我想找一家评分4.5分以上的餐馆。",
    "帮我推荐一个免费的景点吧。",
]
ASKING = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "unique", "_unique2"}


class Tape(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A recording of every operation with its very tensors, which repeats them, and nothing of the Python around them.

    Fails on what would make the host wait for the device, or bring data from the host, in the midst of a recording.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[tuple[Any, Any, Any, Any]] = []
        self.replays = 0
        with self:
            work()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func.overloadpacket.__name__ not in ASKING, f"{func} waits for the device"
        result = func(*args, **(kwargs or {}))
        self.operations.append((func, args, kwargs or {}, result))
        return result

    def __call__(self) -> None:
        """The first time there is nothing left to do: unlike a graph's, this recording was also a performance."""
        self.replays += 1
        if self.replays == 1:
            return
        for func, args, kwargs, results in self.operations:
            for old, new in zip(tree_leaves(results), tree_leaves(func(*args, **kwargs)), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class Tapes:
    def __init__(self) -> None:
        self.made: list[Tape] = []

    def __call__(self, work: Callable[[], None]) -> Tape:
        self.made.append(Tape(work))
        return self.made[-1]


def replies(outcomes: list[Outcome]) -> list[list[tuple[int, ...]]]:
    return [[hypothesis.tokens for hypothesis in outcome.hypotheses] for outcome in outcomes]


OPTIONS: list[dict[str, Any]] = [*UNUSUAL_OPTIONS, *({} for _ in range(12))]


def exact(seed: int, **changes: Any) -> tuple[IncrementalModel, CudaEngine, Tapes, Any]:
    model = tiny_model(seed, **changes).double()
    tapes = Tapes()
    engine = CudaEngine(model, device=CPU, precision=torch.float64, record=tapes)
    return IncrementalModel(model), engine, tapes, token_ids(model.config)


@pytest.mark.parametrize("case", range(len(OPTIONS)))
def test_replies_are_the_references(case: int) -> None:
    dice = random.Random(case)
    reference, engine, tapes, ids = exact(
        case, pre_norm=case % 2 == 0, copy=case % 3 == 0, eos_bias=dice.choice([3.0, -3.0])
    )
    options = random_options(dice, max_new_tokens=dice.choice([1, 9, 24]), **OPTIONS[case])
    for size in (1, 2, 3, 4, 7):
        sources = random_sources(dice, size, longest=20)
        seeds = list(range(size))
        expected = decode(reference, sources, options, ids, seeds=seeds)
        for _ in range(2):  # the second time in buffers that have been used
            found = decode(engine, sources, options, ids, seeds=seeds)
            assert replies(found) == replies(expected)
            assert [each.best.score for each in found] == pytest.approx([each.best.score for each in expected])
    assert all(tape.replays for tape in tapes.made)
    assert bool(tapes.made) == (options.max_new_tokens > 1)


@pytest.mark.parametrize("vocabulary", [60, 64])
@pytest.mark.parametrize("eos_bias", [0.0, 1.0])
def test_vocabularies_of_any_size_in_bf16(vocabulary: int, eos_bias: float) -> None:
    model = tiny_model(vocab_size=vocabulary, eos_bias=eos_bias)
    engine = CudaEngine(model, device=CPU)
    [outcome] = decode(engine, [[5, 6, 7]], GenerationOptions(num_beams=4, max_new_tokens=8), token_ids(model.config))
    assert all(token < vocabulary for hypothesis in outcome.hypotheses for token in hypothesis.tokens)


@pytest.mark.parametrize("seed", range(6))
def test_sources_that_come_and_go_get_the_replies_they_would_get_alone(seed: int) -> None:
    """In two searches at once that need the same buffers."""
    dice = random.Random(seed)
    reference, engine, tapes, ids = exact(seed, eos_bias=0.0, copy=seed % 2 == 0)
    options = GenerationOptions(num_beams=dice.choice([1, 3, 4]), max_new_tokens=20, no_repeat_ngram=2)
    searches = [Search(engine, options, ids) for _ in range(2)]
    sources: list[dict[int, list[int]]] = [{}, {}]
    found: list[dict[int, Outcome]] = [{}, {}]
    dropped: set[tuple[int, int]] = set()
    for round_ in itertools.count():
        for place, search in enumerate(searches):
            if round_ < 12 and dice.random() < 0.6:
                newcomers = random_sources(dice, dice.randint(1, 3), longest=40)
                sources[place].update(zip(search.admit(newcomers), newcomers, strict=True))
            if search.active and dice.random() < 0.2:
                source = dice.choice(sorted(search.active))
                search.drop([source])
                dropped.add((place, source))
            for progress in search.advance():
                if progress.outcome is not None:
                    found[place][progress.source] = progress.outcome
        if round_ >= 12 and not any(search.active for search in searches):
            break
    for place in range(2):
        assert found[place].keys() == {number for number in sources[place] if (place, number) not in dropped}
        for number, outcome in found[place].items():
            assert replies([outcome]) == replies(decode(reference, [sources[place][number]], options, ids))
    assert any(tape.replays > 1 for tape in tapes.made)


def test_buffers_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses: list[tuple[StaticTurn, list[int]]] = []
    take = StaticTurn.take

    def watched(self: StaticTurn, *given: Any) -> Any:
        before = [buffer.data_ptr() for buffer in self.buffers]
        beams, state = take(self, *given)
        assert [values.data_ptr() for values in (*tensors(state), *tensors(beams))] == before
        addresses.append((self, before))
        return beams, state

    monkeypatch.setattr(StaticTurn, "take", watched)
    _, engine, _, ids = exact(0, eos_bias=-50.0)
    options = GenerationOptions(num_beams=4, max_new_tokens=12)
    for size in (1, 2, 3, 4):
        decode(engine, [[5, 6]] * size, options, ids)
    assert len({id(turn) for turn, _ in addresses}) == 3  # for 1, 2 and 4 sources
    for turn, where in addresses:
        assert all(where == others for other, others in addresses if other is turn)


def test_a_batch_that_never_empties_keeps_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    take = StaticTurn.take

    def watched(self: StaticTurn, state: CudaState, *given: Any) -> Any:
        taken.append((state.sources, state.slots, state.memory.shape[1]))
        return take(self, state, *given)

    monkeypatch.setattr(StaticTurn, "take", watched)
    _, engine, tapes, ids = exact(0, eos_bias=-50.0)
    search = Search(engine, GenerationOptions(num_beams=2, max_new_tokens=20), ids)
    for round_ in range(60):
        if round_ % 4 == 0 and len(search.active) < 4:
            search.admit([[5, 6, 7]])
        search.advance()
        assert search.active
    assert max(taken) == (4, 64, 16)
    assert len(tapes.made) == 3  # for 1, 2 and 4 sources


def test_after_the_warm_up_nothing_is_left_to_record() -> None:
    _, engine, tapes, ids = exact(0, eos_bias=-50.0)
    options = GenerationOptions(num_beams=4, max_new_tokens=40)
    for size in (1, 2, 4):
        engine.warm_up(options, ids, sources=size, source_tokens=20)
    assert len(tapes.made) == 9  # up to 64, 128 and 256 slots
    for size in (1, 2, 3):
        decode(engine, [[5, 6, 7] * 6] * size, options, ids)
    assert len(tapes.made) == 9
    decode(engine, [[5, 6, 7]], options, ids)
    assert len(tapes.made) == 12  # another source bucket


def test_buffers_over_the_limit_go_unless_they_are_in_use() -> None:
    model = tiny_model(1, eos_bias=-50.0).double()
    ids = token_ids(model.config)
    options = GenerationOptions(num_beams=2, max_new_tokens=10)
    engine = CudaEngine(model, device=CPU, precision=torch.float64, buffers_bytes=1)
    kept = engine.turns
    busy = Search(engine, options, ids)
    busy.admit([[5, 6, 7]])
    for _ in range(2):
        busy.advance()
    for size in (1, 2, 4, 8):
        decode(engine, [[5, 6, 7]] * size, options, ids)
        assert len(kept) == 2  # the busy one and the newest
    assert replies(finished(busy)) == replies(decode(IncrementalModel(model), [[5, 6, 7]], options, ids))
    busy.advance()  # nothing is left: it lets its buffers go
    decode(engine, [[5, 6, 7]] * 2, options, ids)
    assert len(kept) == 1


def finished(search: Search[Any]) -> list[Outcome]:
    outcomes = []
    while search.active:
        outcomes += [progress.outcome for progress in search.advance() if progress.outcome is not None]
    return outcomes


def test_in_bf16_the_trained_model_says_nothing_it_finds_much_worse() -> None:
    """A reply in bf16 scores in fp32 nearly what the reply in fp32 scores."""
    bundle = open_bundle(locate("builtin://default"))
    model, tokenizer = load_model(bundle), Tokenizer.load(bundle.tokenizer_path)
    options = GenerationOptions(max_new_tokens=24)
    sources = [list(build_prompt([Turn("user", text)], tokenizer, 1, 64).ids) for text in SAID]
    ids = token_ids(model.config)
    expected = decode(IncrementalModel(model), sources, options, ids)
    found = decode(CudaEngine(model, device=CPU), sources, options, ids)
    for source, bf16, fp32 in zip(sources, found, expected, strict=True):
        score = taught_score(model, source, bf16.best)
        assert bf16.best.score == pytest.approx(score, abs=0.01)
        assert score > fp32.best.score - 0.05


@torch.inference_mode()
def taught_score(model: DialogueTransformer, source: list[int], said: Hypothesis) -> float:
    """By teacher forcing, over the length."""
    target = [*said.tokens, *[model.config.eos_id] * said.complete]
    target_in = torch.tensor([[model.config.decoder_start_id, *target[:-1]]])
    log_probs = model(*padded([source], model.config.pad_id, CPU), target_in)[0].log_softmax(dim=-1)
    return float(log_probs.gather(1, torch.tensor(target)[:, None]).mean())


def test_without_a_gpu_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="no NVIDIA GPU"):
        cuda_engine(tiny_model())
