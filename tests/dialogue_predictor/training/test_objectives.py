"""Every loss against the formula written out, or torch's own."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from dialogue_predictor.model.copying import CopyHead
from dialogue_predictor.model.heads import MaskedHead
from dialogue_predictor.model.transformer import DialogueTransformer
from dialogue_predictor.training.batches import IGNORE, Batch
from dialogue_predictor.training.objectives import (
    Loss,
    bag_of_words,
    classification,
    cross_entropy,
    hard_distillation,
    in_steps,
    info_nce,
    masked_modelling,
    pointing,
    said_at,
    sequence_to_sequence,
    simmim,
    soft_distillation,
    token_nll,
)
from support.tiny_models import tiny_config, tiny_model

SOURCE = torch.tensor([[5, 9, 5, 2, 5], [7, 2, 0, 0, 0]])
MASK = SOURCE != 0
TARGET_IN = torch.tensor([[1, 5, 9, 11], [1, 7, 0, 0]])
TARGET_OUT = torch.tensor([[5, 9, 11, 2], [7, 2, IGNORE, IGNORE]])
KEPT = TARGET_OUT != IGNORE


def prepared(*, copy: bool) -> tuple[DialogueTransformer, Tensor, Tensor]:
    model = tiny_model(seed=1, vocab_size=20, copy=copy).double()
    memory = model.encode(SOURCE, MASK)
    return model, memory, model.decode(TARGET_IN, memory, MASK)


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65])
def test_rows_in_steps_are_the_same_rows_of_few_shapes(count: int) -> None:
    rows, shapes = torch.randn(count, 3), []

    def project(given: Tensor) -> Tensor:
        shapes.append(len(given))
        return given * 2

    assert torch.equal(in_steps(project, rows), rows * 2)
    assert shapes == [-(-count // 64) * 64]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_torchs(smoothing: float) -> None:
    logits, targets = torch.randn(20, 30), torch.randint(0, 30, (20,))
    loss = cross_entropy(logits, targets, smoothing)
    torch.testing.assert_close(loss.mean, functional.cross_entropy(logits, targets, label_smoothing=smoothing))
    torch.testing.assert_close(loss.nll, functional.cross_entropy(logits, targets, reduction="sum"))
    assert loss.tokens == 20


def test_label_smoothing_by_hand() -> None:
    """Probabilities ½, ¼, ¼ and the first is right: 0.8·ln 2 + 0.2·(ln 2 + 2·ln 4)/3."""
    loss = cross_entropy(torch.tensor([[0.5, 0.25, 0.25]]).log(), torch.tensor([0]), smoothing=0.2)
    assert float(loss.mean) == pytest.approx((0.8 + 0.2 * 5 / 3) * math.log(2))
    assert float(loss.nll) == pytest.approx(math.log(2))


def test_nothing_to_predict_is_a_loss_of_zero_with_a_gradient() -> None:
    logits = torch.zeros(0, 5, requires_grad=True)
    loss = masked_modelling(logits, torch.zeros(0, dtype=torch.int64))
    torch.autograd.backward(loss.mean)
    assert (float(loss.mean.detach()), float(loss.nll), int(loss.tokens)) == (0.0, 0.0, 0)
    assert logits.grad is not None


def test_masked_modelling_reads_the_masked_positions_alone() -> None:
    config = tiny_config(vocab_size=20)
    memory = torch.randn(2, 5, config.d_model, requires_grad=True)
    masked = torch.tensor([[False, True, False, False, True], [True, False, False, False, False]])
    logits = MaskedHead(config)(memory[masked], torch.randn(20, config.d_model))
    assert logits.shape == (3, 20)
    loss = masked_modelling(logits, SOURCE[masked])
    expected = -logits.log_softmax(-1)[torch.arange(3), torch.tensor([9, 5, 7])].sum()
    torch.testing.assert_close(loss.nll, expected.detach())
    torch.testing.assert_close(loss.mean, expected / 3)
    torch.autograd.backward(loss.mean)
    assert memory.grad is not None
    assert torch.equal(memory.grad.abs().sum(-1) > 0, masked)


def test_info_nce_by_hand() -> None:
    """Cosines 1, 0 / 0.6, 0.8 at temperature ½: rows and columns each choose their own."""
    first, second = torch.tensor([[3.0, 0.0], [6.0, 8.0]]), torch.tensor([[2.0, 0.0], [0.0, 5.0]])
    a, b, c, d = (math.exp(cosine / 0.5) for cosine in (1.0, 0.0, 0.6, 0.8))
    expected = -(math.log(a / (a + b)) + math.log(d / (c + d)) + math.log(a / (a + c)) + math.log(d / (b + d))) / 4
    assert float(info_nce(first, second, temperature=0.5)) == pytest.approx(expected, rel=1e-5)


def test_pairs_that_mean_the_same_are_no_negatives() -> None:
    first, second = torch.randn(3, 8), torch.randn(3, 8)
    same = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    scores = functional.normalize(first, dim=1) @ functional.normalize(second, dim=1).T / 0.1
    expected = 0.0
    for row in range(3):
        for each in (scores[row], scores[:, row]):
            negatives = [column for column in range(3) if column != row and not same[row, column]]
            expected -= float(each[row] - torch.logsumexp(each[[row, *negatives]], 0)) / 6
    loss = info_nce(first.requires_grad_(), second, 0.1, same)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    torch.autograd.backward(loss)
    assert first.grad is not None
    assert first.grad.isfinite().all()


def test_views_that_agree_cost_less_than_views_that_do_not() -> None:
    views = torch.eye(4)
    assert float(info_nce(views, views, 0.05)) < 1e-6 < float(info_nce(views, views.flip(0), 0.05))


def test_simmim_is_the_weighted_sum() -> None:
    masked = Loss(torch.tensor(2.0), torch.tensor(10.0), torch.tensor(5))
    loss = simmim(masked, torch.tensor(3.0), weight=0.25)
    assert (float(loss.mean), float(loss.nll), int(loss.tokens)) == (2.75, 10.0, 5)


def test_soft_distillation_by_hand() -> None:
    student, teacher = torch.tensor([[0.0, 2.0], [1.0, 1.0]]), torch.tensor([[2.0, 0.0], [1.0, 1.0]])
    taught, learned = math.exp(1) / (1 + math.exp(1)), 1 / (1 + math.exp(1))  # at temperature 2
    divergence = taught * math.log(taught / learned) + learned * math.log(learned / taught)
    assert float(soft_distillation(student, teacher, 2.0)) == pytest.approx(4 * divergence / 2, rel=1e-5)
    assert float(soft_distillation(teacher, teacher, 2.0)) == pytest.approx(0.0, abs=1e-6)


def test_only_the_student_learns() -> None:
    student, teacher = (torch.randn(3, 5, requires_grad=True) for _ in range(2))
    torch.autograd.backward(soft_distillation(student, teacher, 3.0) + hard_distillation(student, teacher))
    assert student.grad is not None
    assert teacher.grad is None


def test_hard_distillation_takes_the_teachers_first_choice() -> None:
    student, teacher = torch.randn(2, 3), torch.tensor([[0.0, 5.0, 1.0], [2.0, 0.0, 1.0]])
    torch.testing.assert_close(
        hard_distillation(student, teacher), functional.cross_entropy(student, torch.tensor([1, 0]))
    )


def test_classification_counts_rows() -> None:
    loss = classification(torch.tensor([[0.5, 0.5], [0.25, 0.75]]).log(), torch.tensor([0, 1]))
    assert float(loss.nll) == pytest.approx(-math.log(0.5) - math.log(0.75))
    assert float(loss.mean) == pytest.approx(float(loss.nll) / 2)
    assert loss.tokens == 2


def test_the_bag_of_words_counts_each_word_of_a_reply_and_no_padding() -> None:
    logits = torch.randn(2, 20)
    logs = logits.log_softmax(-1)
    expected = -(logs[0, [5, 9, 11, 2]].sum() + logs[1, [7, 2]].sum()) / 6
    torch.testing.assert_close(bag_of_words(logits, TARGET_OUT), expected)


def test_pointing_is_at_every_place_where_the_source_says_a_target_token() -> None:
    attention = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.7, 0.2, 0.1, 0.0]])  # on the four source tokens

    class Fixed(CopyHead):
        def forward(self, states: Tensor, keys: Tensor, source_mask: Tensor) -> tuple[Tensor, Tensor]:
            return states[..., :1], attention[:, None].expand(-1, states.shape[1], -1)

    copy, states, memory = Fixed(4), torch.zeros(2, 3, 4), torch.zeros(2, 4, 4)
    source, said = torch.tensor([[8, 5, 5, 2], [9, 2, 0, 0]]), torch.tensor([[5, 7, 2], [6, 2, IGNORE]])
    batch = Batch(source, source != 0, said.clamp(min=0), said, units=5, tokens=11)
    expected = -(math.log(0.2 + 0.3) + math.log(0.4) + math.log(0.2)) / 3
    assert float(pointing(copy, states, memory, batch)) == pytest.approx(expected)
    nowhere = replace(batch, target_out=torch.tensor([[7, 7, 7], [7, 7, IGNORE]]))
    assert float(pointing(copy, states, memory, nowhere)) == 0


def test_of_the_same_tokens_those_count_that_follow_the_same_ones() -> None:
    source = torch.tensor([[5, 5, 7, 5, 8, 9, 5, 0]])
    target = torch.tensor([[7, 5, 8, 5, 9, 4, IGNORE]])
    places = [row.nonzero()[:, 0].tolist() for row in said_at(source, target)[0]]
    # 5 after 7, 8 after 7 5; then 5, which never follows an 8: everywhere; 9 never follows a 5 either
    assert places == [[2], [3], [4], [0, 1, 3, 6], [5], [], []]


def test_pointing_teaches_the_copy_head_even_behind_a_shut_gate() -> None:
    model = tiny_model(seed=1, vocab_size=20, copy=True).double()
    head = model.model.copy
    assert head is not None
    with torch.no_grad():
        head.gate.bias.fill_(-60.0)
    batch = Batch(SOURCE, MASK, TARGET_IN, TARGET_OUT, units=6, tokens=13)
    torch.autograd.backward(sequence_to_sequence(model, batch).mean)
    assert head.q_proj.weight.grad is not None
    assert float(head.q_proj.weight.grad.abs().max()) < 1e-12
    torch.autograd.backward(sequence_to_sequence(model, batch, pointing_weight=0.5).mean)
    assert float(head.q_proj.weight.grad.abs().max()) > 1e-6


@pytest.mark.parametrize("copy", [False, True])
def test_a_tokens_loss_is_that_of_the_models_scores(copy: bool) -> None:
    model, memory, states = prepared(copy=copy)
    loss = token_nll(model, states, memory, SOURCE, MASK, TARGET_OUT)
    scores = model.scores(states, memory, SOURCE, MASK)[KEPT].log_softmax(-1)
    expected = -scores[torch.arange(6), TARGET_OUT[KEPT]].sum()
    torch.testing.assert_close(loss.nll, expected.detach())
    torch.testing.assert_close(loss.mean, expected / 6)
    assert loss.tokens == 6


def test_a_tokens_loss_teaches_as_the_models_scores_do() -> None:
    model, memory, states = prepared(copy=True)
    scores = model.scores(states, memory, SOURCE, MASK)[KEPT]
    dense = -scores[torch.arange(6), TARGET_OUT[KEPT]].mean()
    cheap = token_nll(model, states, memory, SOURCE, MASK, TARGET_OUT).mean
    names, parameters = zip(*model.named_parameters(), strict=True)
    expected, given = (torch.autograd.grad(loss, parameters, retain_graph=True) for loss in (dense, cheap))
    for name, one, other in zip(names, given, expected, strict=True):
        torch.testing.assert_close(one, other, msg=name)


def test_smoothing_spreads_the_generators_share_alone() -> None:
    model, memory, states = prepared(copy=True)
    plain = token_nll(model, states, memory, SOURCE, MASK, TARGET_OUT)
    loss = token_nll(model, states, memory, SOURCE, MASK, TARGET_OUT, smoothing=0.1)
    uniform = -model.project(states[KEPT]).log_softmax(-1).mean()
    torch.testing.assert_close(loss.mean, 0.9 * plain.mean + 0.1 * uniform)
    torch.testing.assert_close(loss.nll, plain.nll)
