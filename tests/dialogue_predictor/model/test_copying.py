"""The copy head against its formula in probabilities, its gradient, and its incremental steps."""

import random

import pytest
import torch
from torch import Tensor

from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.decoding.search import decode
from dialogue_predictor.model.copying import CopyHead, mixture, packed, unpacked
from dialogue_predictor.model.incremental import IncrementalModel
from dialogue_predictor.model.transformer import DialogueTransformer, build
from support.tiny_models import VOCABULARY, random_sources, tiny_config, tiny_model, token_ids

SOURCE = torch.tensor([[5, 9, 5, 2, 5], [7, 2, 0, 0, 0]])
MASK = SOURCE != 0


def copying_model(seed: int = 4) -> DialogueTransformer:
    """One that copies about as often as it generates."""
    model = tiny_model(seed, copy=True).double()
    assert model.model.copy is not None
    with torch.no_grad():
        model.model.copy.gate.bias.zero_()
        model.model.copy.gate.weight.mul_(0.1)
        model.model.copy.q_proj.weight.mul_(0.3)
    return model


def dense(logits: Tensor, gate: Tensor, attention: Tensor, tokens: Tensor) -> Tensor:
    """The paper's formula, word by word."""
    share = gate.sigmoid()
    said = torch.nn.functional.one_hot(tokens, logits.shape[-1]).to(attention.dtype)
    return ((1 - share) * logits.softmax(-1) + share * (attention[..., None] * said).sum(-2)).log()


def test_a_mixture_by_hand() -> None:
    """Half of a uniform third, and the other half over tokens 2, 0 and 2 again."""
    log_p = mixture(torch.zeros(1, 3), torch.zeros(1, 1), torch.tensor([[0.5, 0.3, 0.2]]), torch.tensor([[2, 0, 2]]))
    expected = torch.tensor([[1 / 6 + 0.15, 1 / 6, 1 / 6 + 0.35]])
    torch.testing.assert_close(log_p.exp(), expected)


def test_the_mixture_and_its_gradient_are_the_dense_formulas() -> None:
    logits, gate = torch.randn(3, 7, dtype=torch.double), torch.randn(3, 1, dtype=torch.double)
    attention = torch.randn(3, 5, dtype=torch.double).softmax(-1)
    attention[1, 3:] = 0
    tokens = torch.tensor([[4, 2, 4, 4, 1], [3, 3, 0, 0, 0], [1, 2, 3, 4, 5]])
    inputs = logits, gate, attention = [value.requires_grad_() for value in (logits, gate, attention)]
    weights = torch.randn(3, 7, dtype=torch.double)
    ours, theirs = mixture(logits, gate, attention, tokens), dense(logits, gate, attention, tokens)
    torch.testing.assert_close(ours, theirs)
    given = torch.autograd.grad((ours * weights).sum(), inputs)
    expected = torch.autograd.grad((theirs * weights).sum(), inputs)
    torch.testing.assert_close(given[:2], expected[:2])
    torch.testing.assert_close(given[2][[0, 2]], expected[2][[0, 2]])  # at no attention ours stays flat
    row = tuple(value[:1].detach().requires_grad_() for value in inputs)
    assert torch.autograd.gradcheck(lambda *values: mixture(values[0], values[1], values[2], tokens[:1]), row)


def test_extreme_gates_and_logits_stay_finite() -> None:
    logits = torch.tensor([[200.0, -200.0, 0.0]], requires_grad=True)
    for value in (-200.0, 200.0):
        gate = torch.tensor([[value]], requires_grad=True)
        log_p = mixture(logits, gate, torch.tensor([[1.0, 0.0]]), torch.tensor([[1, 2]]))
        assert log_p.isfinite().all()
        for gradient in torch.autograd.grad(log_p.sum(), (logits, gate)):
            assert gradient.isfinite().all()


def test_attention_falls_on_real_tokens_and_sums_to_one() -> None:
    torch.manual_seed(0)
    gate, attention = CopyHead(8)(torch.randn(2, 3, 8), torch.randn(2, 5, 8), MASK)
    assert gate.shape == (2, 3, 1)
    torch.testing.assert_close(attention.sum(-1), torch.ones(2, 3))
    assert not attention[1, :, 2:].any()
    assert attention[MASK[:, None].expand(2, 3, 5)].all()


def test_scores_are_a_distribution_and_know_the_sources_words() -> None:
    model = copying_model()
    target = torch.tensor([[2, 8, 9], [2, 4, 4]])
    scores = model(SOURCE, MASK, target)
    torch.testing.assert_close(scores.exp().sum(-1), torch.ones(2, 3, dtype=torch.double))
    assert model.model.copy is not None
    with torch.no_grad():
        model.model.copy.gate.bias.fill_(500.0)
    copied = model(SOURCE, MASK, target).exp()
    words = torch.zeros(2, VOCABULARY).scatter(1, SOURCE.masked_fill(~MASK, 2), 1.0).bool()
    assert float(copied.detach()[~words[:, None].expand_as(copied)].max()) < 1e-12


def test_a_fresh_gate_is_nearly_shut() -> None:
    copy = build(tiny_config(copy=True)).model.copy
    assert copy is not None
    assert copy.gate.bias.tolist() == [-2.0]


def test_names_in_the_state_dict() -> None:
    names = {name for name in tiny_model(copy=True).state_dict() if "copy" in name}
    parts = ("q_proj", "k_proj", "gate")
    assert names == {f"model.copy.{part}.{kind}" for part in parts for kind in ("weight", "bias")}
    assert not [name for name in tiny_model().state_dict() if "copy" in name]


def test_what_a_step_hands_on_is_read_again() -> None:
    states, gate, attention = torch.randn(2, 3, 4), torch.randn(2, 3, 1), torch.rand(2, 3, 5)
    tokens = torch.tensor([[30_001, 2, 3, 4, 5], [6, 7, -1, -1, -1]])
    hidden = packed(states.bfloat16(), gate.bfloat16(), attention, tokens)
    assert hidden.shape == (2, 3, 4 + 1 + 2 * 5)
    assert hidden[1, 0, -3:].tolist() == [-1, -1, -1]
    parts = unpacked(hidden.flatten(0, 1), 4)
    assert torch.equal(parts[0], states.bfloat16().float().flatten(0, 1))
    assert torch.equal(parts[2], attention.flatten(0, 1))
    assert torch.equal(parts[3], tokens.clamp(min=0).repeat_interleave(3, dim=0))


def test_incremental_steps_are_teacher_forcing_with_beams_that_change_places() -> None:
    model = copying_model()
    engine = IncrementalModel(model)
    generator = torch.Generator().manual_seed(5)
    histories, beams = torch.full((2, 3, 1), model.config.decoder_start_id), 3
    state = engine.encode(SOURCE, MASK)
    for step in range(30):
        width = 1 if step == 0 else beams
        hidden, state = engine.step(state, histories[:, :width, -1])
        rows = [index for index in range(2) for _ in range(width)]
        taught = model(SOURCE[rows], MASK[rows], histories[:, :width].reshape(2 * width, -1))[:, -1]
        torch.testing.assert_close(engine.project(hidden.flatten(0, 1)), taught)
        parents = torch.randint(width, (2, beams), generator=generator)
        words = torch.randint(3, VOCABULARY, (2, beams, 1), generator=generator)
        histories = torch.cat((histories.take_along_dim(parents[:, :, None], dim=1), words), dim=2)
        state = engine.reorder(state, parents + torch.arange(2)[:, None] * width)


def test_sources_of_different_lengths_join_change_places_and_leave() -> None:
    model = copying_model()
    engine = IncrementalModel(model)
    target = torch.tensor([[2, 8, 9, 11], [2, 4, 5, 7]])
    _, early = engine.step(engine.encode(SOURCE[1:, :2], MASK[1:, :2]), target[1:, :1])
    _, early = engine.step(early, target[1:, 1:2])
    _, late = engine.step(engine.encode(SOURCE[:1], MASK[:1]), target[:1, :1])
    state = engine.join([early, late])
    taught = model(SOURCE, MASK, target)
    hidden, state = engine.step(state, torch.stack((target[1, 2:3], target[0, 1:2])))
    torch.testing.assert_close(engine.project(hidden[:, 0]), torch.stack((taught[1, 2], taught[0, 1])))
    state = engine.reorder(state, torch.tensor([[1], [0]]))
    hidden, state = engine.step(state, torch.stack((target[0, 2:3], target[1, 3:4])))
    torch.testing.assert_close(engine.project(hidden[:, 0]), torch.stack((taught[0, 2], taught[1, 3])))
    hidden, _ = engine.step(engine.reorder(state, torch.tensor([[0]])), target[:1, 3:])
    torch.testing.assert_close(engine.project(hidden[:, 0]), taught[:1, 3])


@pytest.mark.parametrize("beams", [1, 4])
def test_a_batch_says_what_each_source_says_alone(beams: int) -> None:
    engine = IncrementalModel(copying_model())
    ids, options = token_ids(engine.model.config), GenerationOptions(num_beams=beams, max_new_tokens=12)
    sources = random_sources(random.Random(3), 6)
    together = decode(engine, sources, options, ids)
    for source, outcome in zip(sources, together, strict=True):
        (alone,) = decode(engine, [source], options, ids)
        assert outcome.best.tokens == alone.best.tokens
        assert outcome.best.score == pytest.approx(alone.best.score)
