"""What is minimised: pure functions of a batch and a model's outputs.

A loss carries its tokens along, so that reports weigh tokens alike however the batches were cut. Only positions that
hold a token are projected onto the vocabulary: on a small model that product is a third of the work.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from dialogue_predictor.model.copying import CopyHead, log_mixture, widened
from dialogue_predictor.model.transformer import DialogueTransformer
from dialogue_predictor.model.vectors import mean_state
from dialogue_predictor.training.batches import IGNORE, Batch

CONTEXT = 3
STEP = 64


class Loss(NamedTuple):
    """`mean` has the gradient; `nll` is the summed negative log-likelihood without smoothing, over `tokens`.

    All are tensors without dimensions, so that what wraps a module for several devices finds them.
    """

    mean: Tensor
    nll: Tensor
    tokens: Tensor


def cross_entropy(scores: Tensor, targets: Tensor, smoothing: float = 0.0) -> Loss:
    """Logits or log p [N, V] against targets [N], with label smoothing (arXiv:1512.00567); zero where N is.

    The smoothed loss is (1 − ε)·nll + ε·(mean over the vocabulary of −log p).
    """
    log_probabilities = functional.log_softmax(widened(scores), dim=-1)  # [N, V]
    return smoothed(log_probabilities.gather(1, targets[:, None])[:, 0], log_probabilities, smoothing)


def smoothed(chosen: Tensor, spread: Tensor, smoothing: float) -> Loss:
    """The targets' log p [N], and the log p [N, V] that smoothing keeps from growing sure of itself."""
    count = max(len(chosen), 1)
    nll = -chosen.sum()
    mean = nll if smoothing == 0 else (1 - smoothing) * nll - smoothing * spread.mean(dim=-1).sum()
    return Loss(mean / count, nll.detach(), torch.tensor(len(chosen), device=chosen.device))


def in_steps(project: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """What `project` makes of rows [N, D], asked for a multiple of `STEP` of them: see `batches` on shapes."""
    return project(functional.pad(rows, (0, 0, 0, -len(rows) % STEP)))[: len(rows)]


def token_nll(
    model: DialogueTransformer,
    states: Tensor,
    memory: Tensor,
    source: Tensor,
    source_mask: Tensor,
    target_out: Tensor,
    smoothing: float = 0.0,
) -> Loss:
    """States [B, T, D] over the memory [B, S, D] of a source [B, S], against targets [B, T], padding −100.

    As `cross_entropy` of the model's scores, but that smoothing spreads the generator's share alone, and of what is
    copied only the targets' probability is ever computed.
    """
    kept = target_out != IGNORE  # [B, T]
    targets, logits = target_out[kept], in_steps(model.project, states[kept])
    copy = model.model.copy
    if copy is None:
        return cross_entropy(logits, targets, smoothing)
    gate, attention = copy(states, copy.k_proj(memory), source_mask)
    same = source[:, None] == target_out[:, :, None]  # [B, T, S]
    copied = (attention * same).sum(dim=-1)  # [B, T]
    generated = functional.log_softmax(widened(logits), dim=-1)  # [N, V]
    chosen = log_mixture(generated.gather(1, targets[:, None])[:, 0], gate[kept][:, 0], copied[kept])
    return smoothed(chosen, generated, smoothing)


def sequence_to_sequence(
    model: DialogueTransformer,
    batch: Batch,
    smoothing: float = 0.0,
    bag_weight: float = 0.0,
    pointing_weight: float = 0.0,
) -> Loss:
    """Teacher forcing: every target token from the source and the target before it, plus the weighted bag of words and
    pointing, where the model has a copy head."""
    memory = model.encode(batch.source, batch.source_mask)  # [B, S, D]
    states = model.decode(batch.target_in, memory, batch.source_mask)  # [B, T, D]
    loss = token_nll(model, states, memory, batch.source, batch.source_mask, batch.target_out, smoothing)
    if bag_weight:
        bag = bag_of_words(model.project(mean_state(memory, batch.source_mask)), batch.target_out)
        loss = loss._replace(mean=loss.mean + bag_weight * bag)
    if pointing_weight and model.model.copy is not None:
        loss = loss._replace(mean=loss.mean + pointing_weight * pointing(model.model.copy, states, memory, batch))
    return loss


def pointing(copy: CopyHead, states: Tensor, memory: Tensor, batch: Batch) -> Tensor:
    """−log of the attention on where a target token stands in the source, the mean over those that do (arXiv:1607.01628).

    A young pointer learns next to nothing from what is said: the gate lets little of its gradient through until it points
    at the right place, and stays shut until it does.
    """
    _, attention = copy(states, copy.k_proj(memory), batch.source_mask)  # [B, T, S]
    places = said_at(batch.source, batch.target_out)
    pointed: Tensor = (attention * places).sum(dim=-1)[places.any(dim=-1)]
    return -pointed.clamp(min=torch.finfo(pointed.dtype).tiny).log().sum() / max(len(pointed), 1)


def said_at(source: Tensor, target: Tensor) -> Tensor:
    """Where source [B, S] says each token of target [B, T] → [B, T, S]: of the same tokens those that also follow the same
    ones, up to `CONTEXT` of them, because of a number's digits only one is the next."""
    same = source[:, None] == target[:, :, None]
    found = longer = same
    for _ in range(CONTEXT):
        longer = same & functional.pad(longer, (1, 0, 1, 0))[:, :-1, :-1]
        found = torch.where(longer.any(dim=-1, keepdim=True), longer, found)
    return found


def bag_of_words(logits: Tensor, target_out: Tensor) -> Tensor:
    """The words of a target [B, T], in any order, from one vector a source: logits [B, V] (arXiv:1703.10960).

    A young decoder finds it easier to speak without listening: cross-attention gives the encoder next to no gradient,
    and it collapses to a constant. Here the encoder must say what the reply is about before the decoder can use it.
    """
    kept = target_out != IGNORE  # [B, T]
    log_probabilities = functional.log_softmax(widened(logits), dim=-1)  # [B, V]
    return -log_probabilities.gather(1, target_out.clamp(min=0))[kept].mean()


def masked_modelling(logits: Tensor, originals: Tensor) -> Loss:
    """Logits [N, V] of the masked positions alone against the tokens [N] that stood there (arXiv:1810.04805)."""
    return cross_entropy(logits, originals)


def info_nce(first: Tensor, second: Tensor, temperature: float, same: Tensor | None = None) -> Tensor:
    """Two views [B, P] of the same sentences: each row finds its other view among all rows (arXiv:1807.03748, 2002.05709).

    By cosine over `temperature`, the mean of both directions. `same` [B, B], symmetric, is true on further pairs that mean
    the same and so are no negatives.
    """
    # Never in half precision: over a small temperature its cosines are off by tenths.
    with torch.autocast(first.device.type, enabled=False):
        first, second = (functional.normalize(widened(views), dim=-1) for views in (first, second))
        scores = first @ second.T / temperature  # [B, B]
    own = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    if same is not None:
        scores = scores.masked_fill(same & ~own, float("-inf"))
    to_second, to_first = (functional.log_softmax(scores, dim=dim).diagonal() for dim in (1, 0))
    return -(to_second + to_first).mean() / 2


def simmim(masked: Loss, contrast: Tensor, weight: float) -> Loss:
    """L_MLM + λ·L_contrast; what is reported stays the masked tokens'."""
    return masked._replace(mean=masked.mean + weight * contrast)


def soft_distillation(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL(teacher ‖ student)·T² of scores [N, V] at temperature T, the mean over N (Hinton et al. 2015, arXiv:1503.02531).

    T² keeps the gradient's size whatever the temperature, as the paper says.
    """
    learned = functional.log_softmax(widened(student) / temperature, dim=-1)
    taught = functional.log_softmax(widened(teacher.detach()) / temperature, dim=-1)
    divergence = functional.kl_div(learned, taught, reduction="sum", log_target=True)
    return divergence * temperature**2 / max(len(student), 1)


def hard_distillation(student: Tensor, teacher: Tensor) -> Tensor:
    """Scores [N, V] against the teacher's likeliest tokens, the mean over N."""
    return cross_entropy(student, teacher.argmax(dim=-1)).mean


def classification(logits: Tensor, labels: Tensor) -> Loss:
    """Logits [B, C] against labels [B]; `tokens` counts rows."""
    return cross_entropy(logits, labels)
