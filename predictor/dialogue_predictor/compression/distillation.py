"""What a student learns from a teacher: its probabilities, its choices, and what people said.

The teacher is no part of the module: neither the optimiser nor a checkpoint sees it. Its scores are computed at the
positions that hold a token alone, in the precision that the student computes in.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from dialogue_predictor.compression.student import check_pair
from dialogue_predictor.model.copying import log_mixture, widened
from dialogue_predictor.model.transformer import DialogueTransformer
from dialogue_predictor.model.vectors import mean_state
from dialogue_predictor.training.batches import IGNORE, Batch
from dialogue_predictor.training.objectives import (
    Loss,
    bag_of_words,
    cross_entropy,
    hard_distillation,
    in_steps,
    pointing,
    sequence_to_sequence,
    soft_distillation,
)
from dialogue_predictor.training.tasks import aligned


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilWeights:
    """Of the losses: `soft` of the KL divergence at `temperature` (arXiv:1503.02531), `hard` of the cross entropy with
    the teacher's likeliest token, `target` of that with the batch's own, which may be what the teacher's beam search said
    (arXiv:1606.07947). `bag` is the bag of words', `pointing` the copy head's, `align` that of sentence vectors.
    """

    soft: float = 1.0
    hard: float = 0.0
    target: float = 0.5
    temperature: float = 1.0
    smoothing: float = 0.0
    bag: float = 0.0
    pointing: float = 0.0
    align: float = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError naming the flag."""
        if not self.soft + self.hard + self.target > 0:
            raise ValueError("one of --soft-weight, --hard-weight and --target-weight must be above 0")
        if not self.temperature > 0:
            raise ValueError(f"--temperature must be above 0, got {self.temperature}")


class Teacher:
    """A frozen model that is asked for scores. It follows the batches to their device."""

    def __init__(self, model: DialogueTransformer) -> None:
        self.model = model.eval().requires_grad_(requires_grad=False)

    @torch.no_grad()  # tensors of inference mode could not be kept for the student's gradient
    def scores(self, batch: Batch, kept: Tensor) -> Tensor:
        """[N, V] at the kept positions [B, T]."""
        if self.model.final_logits_bias.device != batch.source.device:
            self.model.to(batch.source.device)
        return kept_scores(self.model, *encoded(self.model, batch), batch, kept)


class Distillation(nn.Module):
    """Teacher forcing with a teacher's word on every token. In evaluation its loss is the student's own alone.

    Raises ValueError when student and teacher speak different tokens.
    """

    def __init__(self, student: DialogueTransformer, teacher: Teacher, weights: DistilWeights) -> None:
        super().__init__()
        check_pair(student.config, teacher.model.config)
        self.model = student
        self.teacher = teacher
        self.weights = weights

    def forward(self, batch: Batch) -> Loss:
        if not self.training:
            return sequence_to_sequence(self.model, batch)
        weights = self.weights
        states, memory = encoded(self.model, batch)
        kept = batch.target_out != IGNORE  # [B, T]
        own = kept_scores(self.model, states, memory, batch, kept)  # [N, V]
        loss = cross_entropy(own, batch.target_out[kept], weights.smoothing)
        mean = weights.target * loss.mean
        if weights.soft or weights.hard:
            taught = self.teacher.scores(batch, kept)  # [N, V]
            if weights.soft:
                mean = mean + weights.soft * soft_distillation(own, taught, weights.temperature)
            if weights.hard:
                mean = mean + weights.hard * hard_distillation(own, taught)
        if weights.bag:
            bag = self.model.project(mean_state(memory, batch.source_mask))
            mean = mean + weights.bag * bag_of_words(bag, batch.target_out)
        if weights.pointing and self.model.model.copy is not None:
            mean = mean + weights.pointing * pointing(self.model.model.copy, states, memory, batch)
        return aligned(loss._replace(mean=mean), self.model, batch.pairs, weights.align)


def encoded(model: DialogueTransformer, batch: Batch) -> tuple[Tensor, Tensor]:
    """States [B, T, D] of teacher forcing, and the memory [B, S, D] that they look at."""
    memory = model.encode(batch.source, batch.source_mask)
    return model.decode(batch.target_in, memory, batch.source_mask), memory


def kept_scores(model: DialogueTransformer, states: Tensor, memory: Tensor, batch: Batch, kept: Tensor) -> Tensor:
    """The model's scores at the kept positions [B, T] alone → [N, V]: logits, or with a copy head log p.

    As `model.scores`, but that what is copied is computed for the source's tokens [N, S] alone, which saves several passes
    over the vocabulary. A token that the source says k times is added k times the k-th part of it.
    """
    logits, copy = in_steps(model.project, states[kept]), model.model.copy
    if copy is None:
        return logits
    gate, attention = copy(states, copy.k_proj(memory), batch.source_mask)
    same = (batch.source[:, :, None] == batch.source[:, None]).to(attention.dtype)  # [B, S, S]
    with torch.autocast(attention.device.type, enabled=False):
        copied = (attention @ same)[kept]  # [N, S]
    rows, share = kept.nonzero()[:, 0], gate[kept]  # [N], [N, 1]
    tokens = batch.source[rows]  # [N, S]
    generated = functional.log_softmax(widened(logits), dim=-1)
    at = generated.gather(1, tokens)
    whole = generated + functional.logsigmoid(-widened(share))
    more = log_mixture(at, share, copied) - whole.gather(1, tokens)
    return whole.scatter_add(1, tokens, more / same.sum(dim=-1)[rows])
