"""Layers that share their parameters, heads of a width of their own, and what stands on the encoder."""

from typing import Any

import pytest
import torch

from dialogue_predictor.model.config import ModelConfig
from dialogue_predictor.model.heads import ClassificationHead, MaskedHead, SiameseHead
from dialogue_predictor.model.incremental import IncrementalModel
from dialogue_predictor.model.transformer import filled
from dialogue_predictor.model.vectors import mean_state, sentence_vectors
from support.tiny_models import tiny_config, tiny_model

SOURCE = torch.tensor([[5, 9, 5, 2, 5], [7, 2, 0, 0, 0]])
MASK = SOURCE != 0
TARGET = torch.tensor([[2, 8, 9], [2, 4, 4]])
SHAPES: tuple[dict[str, Any], ...] = (
    {"copy": True},
    {"shared_layers": True, "encoder_layers": 3},
    {"head_size": 4},
    {"heads": 3, "head_size": 8},
    {"copy": True, "shared_layers": True, "heads": 3, "head_size": 8, "pre_norm": False},
)


@pytest.mark.parametrize("changes", SHAPES)
def test_a_shape_survives_a_dict_and_its_weights_fit(changes: dict[str, Any]) -> None:
    config = tiny_config(**changes)
    assert ModelConfig.from_dict(config.to_dict()) == config
    model = tiny_model(1, **changes)
    assert torch.equal(filled(config, model.state_dict())(SOURCE, MASK, TARGET), model(SOURCE, MASK, TARGET))


def test_younger_fields_are_written_only_where_they_say_something() -> None:
    assert not {"copy", "shared_layers", "head_size"} & set(tiny_config().to_dict())
    assert tiny_config(copy=True).to_dict()["copy"] is True


@pytest.mark.parametrize("changes", SHAPES)
def test_incremental_steps_are_teacher_forcing(changes: dict[str, Any]) -> None:
    model = tiny_model(1, **changes).double()
    engine = IncrementalModel(model)
    taught, state = model(SOURCE, MASK, TARGET), engine.encode(SOURCE, MASK)
    for step in range(3):
        hidden, state = engine.step(state, TARGET[:, step : step + 1])
        torch.testing.assert_close(engine.project(hidden[:, 0]), taught[:, step])


def test_shared_layers_cost_the_same_at_any_depth() -> None:
    shallow, deep = (tiny_model(shared_layers=True, encoder_layers=depth, decoder_layers=depth) for depth in (1, 5))
    assert [p.shape for p in shallow.parameters()] == [p.shape for p in deep.parameters()]
    assert list(shallow.state_dict()) == list(deep.state_dict())
    assert len(deep.model.decoder.blocks) == 5
    assert len(set(deep.model.decoder.blocks)) == 1
    deep.load_state_dict(shallow.state_dict())
    assert not torch.allclose(shallow(SOURCE, MASK, TARGET), deep(SOURCE, MASK, TARGET))


def test_shared_layers_are_layers_that_are_equal() -> None:
    shared = tiny_model(1, shared_layers=True)
    state = shared.state_dict()
    state |= {name.replace("layers.0", "layers.1"): value for name, value in state.items()}
    equal = filled(tiny_config(), state)
    torch.testing.assert_close(equal(SOURCE, MASK, TARGET), shared(SOURCE, MASK, TARGET))


def test_heads_of_a_width_of_their_own() -> None:
    model = tiny_model(heads=3, head_size=8)
    attention = model.model.encoder.blocks[0].self_attn
    assert attention.q_proj.weight.shape == (24, 32)
    assert attention.out_proj.weight.shape == (32, 24)
    assert attention.queries(torch.zeros(2, 5, 32)).shape == (2, 3, 5, 8)
    assert model(SOURCE, MASK, TARGET).shape == (2, 3, 60)


def test_a_head_that_adds_nothing_can_go() -> None:
    """Zero one head's way out, then take it away: the model says the same."""
    whole = tiny_model(1)
    state = dict(whole.state_dict())
    for name, value in state.items():
        if name.endswith("out_proj.weight"):
            value[:, 24:] = 0
            state[name] = value[:, :24]
        elif any(part in name for part in ("q_proj", "k_proj", "v_proj")):
            state[name] = value[:24]
    pruned = filled(tiny_config(heads=3, head_size=8), state)
    torch.testing.assert_close(pruned(SOURCE, MASK, TARGET), whole(SOURCE, MASK, TARGET))


def test_heads_that_do_not_divide_the_width_need_a_size() -> None:
    with pytest.raises(ValueError, match="head_size must be at least 1, got 0"):
        tiny_config(head_size=0)
    assert tiny_config(heads=5, head_size=8).head_width == 8
    assert tiny_config(heads=4).head_width == 8


def test_a_mean_is_of_real_tokens() -> None:
    memory = torch.arange(12.0).view(2, 3, 2)
    mask = torch.tensor([[True, True, True], [True, False, False]])
    assert mean_state(memory, mask).tolist() == [[2.0, 3.0], [6.0, 7.0]]


def test_sentence_vectors_have_length_one_whatever_the_padding() -> None:
    model = tiny_model(1)
    vectors = sentence_vectors(model, SOURCE, MASK)
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(2))
    torch.testing.assert_close(sentence_vectors(model, SOURCE[1:, :2], MASK[1:, :2]), vectors[1:])


def test_what_the_heads_give() -> None:
    config, states = tiny_config(), torch.randn(3, 32)
    assert MaskedHead(config)(states, torch.randn(60, 32)).shape == (3, 60)
    assert SiameseHead(32)(states).shape == (3, 128)
    assert SiameseHead(32, out=16)(states).shape == (3, 16)
    assert ClassificationHead(32, 5)(states).shape == (3, 5)
