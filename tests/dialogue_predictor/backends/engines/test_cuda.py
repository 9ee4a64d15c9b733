"""The CUDA engine's model step on a CPU, against teacher forcing: uneven sources, beams that branch, joins and leaves."""

import random
from typing import Any

import pytest
import torch

from dialogue_predictor.backends.engines.cuda import CudaEngine
from dialogue_predictor.backends.engines.cuda_state import CudaState
from dialogue_predictor.decoding.search import padded
from dialogue_predictor.model.transformer import DialogueTransformer
from support.tiny_models import FIRST_WORD, VOCABULARY, random_sources, tiny_model

CPU = torch.device("cpu")

FAMILIES: list[dict[str, Any]] = [
    {},
    {"pre_norm": False, "layernorm_embedding": False, "activation": "relu", "scale_embedding": False},
    {"positions": "sinusoidal", "activation": "swish", "vocab_size": 128},
    {"copy": True},
    {"copy": True, "shared_layers": True, "heads": 3, "head_size": 6},
]


def exact_engine(model: DialogueTransformer) -> CudaEngine:
    return CudaEngine(model, device=CPU, precision=torch.float64)


class Dialogue:
    """Sources with the tokens of their beams, decoded at random and checked against teacher forcing at every step."""

    def __init__(self, model: DialogueTransformer, engine: CudaEngine, sources: list[list[int]]) -> None:
        self.model, self.engine, self.sources = model, engine, sources
        self.state = engine.encode(*padded(sources, model.config.pad_id, CPU))
        self.targets = [[[model.config.decoder_start_id]] for _ in sources]

    def step(self, dice: random.Random, beams: int) -> None:
        """The next logits are right; then each beam says a random word after a random one of the old beams."""
        latest = torch.tensor([[target[-1] for target in beams] for beams in self.targets])
        hidden, state = self.engine.step(self.state, latest)
        logits = self.engine.project(hidden.flatten(0, 1)).view(*latest.shape, -1)
        torch.testing.assert_close(logits, self.taught())
        given = latest.shape[1]
        parents = [[dice.randrange(given) for _ in range(beams)] for _ in self.sources]
        index = torch.tensor([[row * given + parent for parent in some] for row, some in enumerate(parents)])
        self.state = self.engine.reorder(state, index)
        self.targets = [
            [[*old[parent], dice.randrange(FIRST_WORD, VOCABULARY)] for parent in some]
            for old, some in zip(self.targets, parents, strict=True)
        ]

    def taught(self) -> torch.Tensor:
        """[B, K, V]"""
        logits = []
        for source, targets in zip(self.sources, self.targets, strict=True):
            ids, mask = padded([source] * len(targets), self.model.config.pad_id, CPU)
            logits.append(self.model(ids, mask, torch.tensor(targets))[:, -1])
        return torch.stack(logits)

    def join(self, other: "Dialogue") -> None:
        self.state = self.engine.join([self.state, other.state])
        self.sources += other.sources
        self.targets += other.targets

    def leave(self, staying: list[int]) -> None:
        beams = len(self.targets[0])
        index = torch.tensor([[row * beams + beam for beam in range(beams)] for row in staying])
        self.state = self.engine.reorder(self.state, index)
        self.sources = [self.sources[row] for row in staying]
        self.targets = [self.targets[row] for row in staying]


@pytest.mark.parametrize("family", range(len(FAMILIES)))
@pytest.mark.parametrize("beams", [1, 3, 4])
@torch.inference_mode()
def test_steps_give_the_logits_of_teacher_forcing(family: int, beams: int) -> None:
    dice = random.Random(beams)
    model = tiny_model(beams, **FAMILIES[family]).double()
    engine = exact_engine(model)
    dialogue = Dialogue(model, engine, random_sources(dice, 5, longest=20))
    for turn in range(24):  # 4 beams' past outgrows the first bucket of slots
        dialogue.step(dice, beams)
        if turn in (3, 9):
            newcomers = Dialogue(model, engine, random_sources(dice, 2, longest=30))
            newcomers.step(dice, beams)
            dialogue.join(newcomers)
        if turn in (6, 16):
            dialogue.leave(sorted(dice.sample(range(len(dialogue.sources)), 4)))


def test_a_source_longer_than_the_positions_is_refused() -> None:
    model = tiny_model()
    with pytest.raises(ValueError, match="exceeds 64 positions"):
        exact_engine(model.double()).encode(*padded([[5] * 65], 0, CPU))


@torch.inference_mode()
def test_steps_beyond_the_end_disturb_nobody() -> None:
    """A source may be stepped on after its end, until the search looks; in the last position, in its last slots."""
    model = tiny_model(max_positions=8).double()
    engine = exact_engine(model)
    state = engine.encode(*padded([[5, 6, 7], [8, 9]], 0, CPU))
    state = ahead(state, row=0, tokens=100)
    alone = engine.encode(*padded([[8, 9]], 0, CPU))
    for token in (2, 11, 12, 13):
        hidden, state = engine.step(state, torch.tensor([[token], [token]]))
        expected, alone = engine.step(alone, torch.tensor([[token]]))
        assert hidden.isfinite().all()
        torch.testing.assert_close(hidden[1:], expected)


def ahead(state: CudaState, row: int, tokens: int) -> CudaState:
    for counter in (state.lengths, state.used):
        counter[row] = tokens
    return state


@torch.inference_mode()
def test_logits_of_bf16_are_not_rounded_to_it() -> None:
    """Hidden states of one and weights near 1/3: two logits that bf16 would round to the same number stay apart."""
    model = tiny_model(vocab_size=64, eos_bias=0.0)
    model.model.shared.weight.fill_(1 / 3)
    model.model.shared.weight[7, 0] = 0.336
    logits = CudaEngine(model, device=CPU).project(torch.ones(1, 32, dtype=torch.bfloat16))
    assert logits.dtype == torch.float32
    assert logits[0, 7] > logits[0, 8]
    assert logits[0, 7].bfloat16() == logits[0, 8].bfloat16()


@torch.inference_mode()
def test_the_model_is_copied_and_its_fused_parts_are_not_kept_twice() -> None:
    model = tiny_model(vocab_size=128)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    engine = CudaEngine(model, device=CPU)
    torch.testing.assert_close(dict(model.state_dict()), before)
    weights = engine.weights
    joint = [weights.memory, *(layer.queries_keys_values for layer in weights.layers)]
    own = [parameter for module in (weights.model, *joint) for parameter in module.parameters()]
    assert sum(each.numel() for each in own) == sum(each.numel() for each in model.parameters())
    assert {each.dtype for each in own} == {torch.bfloat16}
