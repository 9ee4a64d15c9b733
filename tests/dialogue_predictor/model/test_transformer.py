"""The network agrees with Hugging Face's on the same weights, trained or incremental."""

import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from dialogue_predictor.artifacts.bundle import locate
from dialogue_predictor.model.attention import by_products, key_mask
from dialogue_predictor.model.config import ModelConfig
from dialogue_predictor.model.incremental import FIRST_CAPACITY, IncrementalModel
from dialogue_predictor.model.transformer import TIED, DialogueTransformer, build
from support.reference_models import reference_model
from support.tiny_models import VOCABULARY, tiny_config, tiny_model

LENGTHS = (9, 5, 1)


def batch(target_length: int = 7) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    source = torch.randint(3, VOCABULARY, (3, 9), generator=generator)
    mask = torch.arange(9) < torch.tensor(LENGTHS)[:, None]
    target = torch.randint(3, VOCABULARY, (3, target_length), generator=generator)
    return source.where(mask, 0), mask, target


@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("scale_embedding", [True, False])
@pytest.mark.parametrize("pre_norm", [True, False])
def test_logits_are_the_references(pre_norm: bool, scale_embedding: bool, activation: str) -> None:
    config = tiny_config(pre_norm=pre_norm, scale_embedding=scale_embedding, activation=activation)
    reference = reference_model(config, seed=1)
    model = DialogueTransformer(config).double().eval()
    model.load_state_dict(reference.state_dict())
    source, mask, target = batch()
    with torch.no_grad():
        expected = reference(input_ids=source, attention_mask=mask.long(), decoder_input_ids=target).logits
        torch.testing.assert_close(model(source, mask, target), expected)


@pytest.mark.parametrize("kept", ["model.shared.weight", *TIED])
def test_a_checkpoint_with_one_copy_of_the_tied_embedding_loads(kept: str) -> None:
    state = dict(reference_model(tiny_config(), seed=1).state_dict())
    embedding = state["model.shared.weight"]
    for name in ("model.shared.weight", *TIED):
        if name != kept:
            del state[name]
    model = DialogueTransformer(tiny_config()).double()
    model.load_state_dict(state)
    assert torch.equal(model.model.shared.weight, embedding)


def test_a_state_dict_holds_the_embedding_once_and_loads_again() -> None:
    model, other = tiny_model(1), tiny_model(2)
    state = model.state_dict()
    assert not set(TIED) & set(state)
    other.load_state_dict(state)
    source, mask, target = batch()
    assert torch.equal(other(source, mask, target), model(source, mask, target))


@pytest.mark.parametrize("beams", [1, 3])
def test_incremental_steps_are_teacher_forcing(beams: int) -> None:
    """Beams that swap and copy each other, for longer than the first cache holds."""
    length = 40
    assert beams == 1 or length * beams > FIRST_CAPACITY
    model = tiny_model(4).double()
    engine = IncrementalModel(model)
    source, mask, _ = batch()
    generator = torch.Generator().manual_seed(5)
    histories = torch.full((3, beams, 1), model.config.decoder_start_id)
    state = engine.encode(source, mask)
    for step in range(length):
        width = 1 if step == 0 else beams
        hidden, state = engine.step(state, histories[:, :width, -1])
        rows = [index for index in range(3) for _ in range(width)]
        taught = model(source[rows], mask[rows], histories[:, :width].reshape(3 * width, -1))[:, -1]
        torch.testing.assert_close(engine.project(hidden.flatten(0, 1)), taught)
        parents = torch.randint(width, (3, beams), generator=generator)
        words = torch.randint(3, VOCABULARY, (3, beams, 1), generator=generator)
        histories = torch.cat((histories.take_along_dim(parents[:, :, None], dim=1), words), dim=2)
        state = engine.reorder(state, parents + torch.arange(3)[:, None] * width)


def test_sources_leave_and_change_places() -> None:
    model = tiny_model(4).double()
    engine = IncrementalModel(model)
    source, mask, target = batch()
    _, state = engine.step(engine.encode(source, mask), target[:, :1])
    state = engine.reorder(state, torch.tensor([[2, 2], [0, 0]]))
    hidden, _ = engine.step(state, target[[2, 0], 1:2].expand(-1, 2))
    expected = model(source, mask, target[:, :2])[[2, 2, 0, 0], -1]
    torch.testing.assert_close(engine.project(hidden.flatten(0, 1)), expected)


def test_sources_join_that_are_further_on() -> None:
    """One has decoded three tokens, two have decoded one, and their sources differ in length."""
    model = tiny_model(4).double()
    engine = IncrementalModel(model)
    source, mask, target = batch()
    early = engine.encode(source[2:, :1], mask[2:, :1])
    for at in range(3):
        _, early = engine.step(early, target[2:, at : at + 1])
    _, late = engine.step(engine.encode(source[:2], mask[:2]), target[:2, :1])
    joined = engine.join([early, late])
    for step in range(3):
        rows, ends = [2, 0, 1], [3 + step, 1 + step, 1 + step]
        tokens = torch.stack([target[row, end] for row, end in zip(rows, ends, strict=True)])[:, None]
        hidden, joined = engine.step(joined, tokens)
        for at, (row, end) in enumerate(zip(rows, ends, strict=True)):
            taught = model(source[row : row + 1], mask[row : row + 1], target[row : row + 1, : end + 1])[0, -1]
            torch.testing.assert_close(engine.project(hidden[at])[0], taught)


def test_padding_changes_nothing() -> None:
    model = tiny_model(4).double()
    source, mask, target = batch()
    together = model(source, mask, target)
    for row, length in enumerate(LENGTHS):
        alone = model(source[row : row + 1, :length], mask[row : row + 1, :length], target[row : row + 1])
        torch.testing.assert_close(together[row], alone[0])


def test_more_tokens_than_positions_are_refused() -> None:
    model = tiny_model(max_positions=8)
    source, mask, target = batch()
    with pytest.raises(ValueError, match="9 tokens exceeds 8 positions"):
        model(source, mask, target)


@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
@pytest.mark.parametrize("norm_before_positions", [False, True])
@torch.no_grad()
def test_each_source_may_stand_at_a_position_of_its_own(positions: str, norm_before_positions: bool) -> None:
    decoder = tiny_model(positions=positions, norm_before_positions=norm_before_positions).model.decoder
    assert decoder.positions.shape == (64, 32)
    beams = torch.randn(3, 4, 32)
    placed = decoder.embed_at(beams, torch.tensor([5, 0, 63]))
    for row, position in enumerate((5, 0, 63)):
        for beam in range(4):
            alone = decoder.embed(beams[row : row + 1, beam : beam + 1], start=position)
            torch.testing.assert_close(placed[row, beam], alone[0, 0])


def test_a_source_past_the_last_position_is_refused() -> None:
    decoder = tiny_model(max_positions=8).model.decoder
    with pytest.raises(ValueError, match="a sequence of 9 tokens exceeds 8 positions"):
        decoder.embed_at(torch.zeros(2, 3, 32), torch.tensor([7, 8]))


def test_a_fresh_model_has_mbarts_initialisation_and_trains() -> None:
    torch.manual_seed(0)
    model = build(tiny_config(d_model=64, dropout=0.1))
    weights = torch.cat([m.weight.flatten() for m in model.modules() if isinstance(m, nn.Linear)])
    assert float(weights.detach().std()) == pytest.approx(0.02, rel=0.02)
    assert not model.model.shared.weight[model.config.pad_id].any()
    source, mask, target = batch()
    model(source, mask, target).square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("changes", [{}, {"positions": "sinusoidal", "activation": "swish"}])
def test_a_shape_survives_the_way_through_a_dict(changes: dict[str, Any]) -> None:
    config = tiny_config(pre_norm=False, **changes)
    assert ModelConfig.from_dict(config.to_dict()) == config


def test_the_shape_of_the_first_bundle_is_written_as_it_was() -> None:
    written = json.loads((locate("builtin://default") / "config.json").read_text(encoding="utf-8"))["architecture"]
    assert list(ModelConfig.from_dict(written).to_dict().items()) == list(written.items())


def test_sines_are_no_part_of_a_state_dict() -> None:
    model = tiny_model(positions="sinusoidal")
    assert not [name for name in model.state_dict() if "positions" in name]
    tiny_model(1, positions="sinusoidal").load_state_dict(model.state_dict())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"heads": 5}, "heads"),
        ({"encoder_layers": 0}, "encoder_layers"),
        ({"eos_id": VOCABULARY}, "eos_id"),
        ({"activation": "tanh"}, "activation must be one of gelu, relu, swish"),
        ({"positions": "rotary"}, "positions must be one of learned, sinusoidal"),
        ({"dropout": 1.0}, "dropout"),
        ({"layers": 3}, "layers"),
    ],
)
def test_a_wrong_shape_is_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        ModelConfig.from_dict(tiny_config().to_dict() | changes)


def test_a_missing_field_is_named() -> None:
    values = tiny_config().to_dict()
    del values["d_model"]
    with pytest.raises(ValueError, match="d_model"):
        ModelConfig.from_dict(values)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_by_products_is_torchs_own_with_its_gradients(causal: bool) -> None:
    torch.manual_seed(0)
    queries, keys, values = (torch.randn(3, 2, 9, 8, dtype=torch.float64, requires_grad=True) for _ in range(3))
    mask = None if causal else key_mask(torch.arange(9) < torch.tensor(LENGTHS)[:, None])
    given = by_products(queries, keys, values, mask, causal)
    expected = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, is_causal=causal)
    torch.testing.assert_close(given, expected)
    weights = torch.randn_like(given)
    own, theirs = (torch.autograd.grad((seen * weights).sum(), (queries, keys, values)) for seen in (given, expected))
    torch.testing.assert_close(own, theirs)


def test_a_half_precise_training_learns_what_a_precise_one_does() -> None:
    source, mask, target = batch()
    model = tiny_model(seed=2)

    def gradient(*, half: bool) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = model(source, mask, target).float().log_softmax(-1)[..., 5].mean()
        return torch.cat([one.flatten() for one in torch.autograd.grad(loss, list(model.parameters()))])

    assert functional.cosine_similarity(gradient(half=True), gradient(half=False), dim=0) > 0.99
