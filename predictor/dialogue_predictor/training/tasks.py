"""What is learnt, as modules that turn a batch into a loss: what the loop calls, and what is spread over devices.

A task keeps the transformer under `model`, so that its weights are found under that name in every state dict.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from dialogue_predictor.model.heads import MaskedHead, SiameseHead
from dialogue_predictor.model.transformer import DialogueTransformer
from dialogue_predictor.model.vectors import mean_state, sentence_vectors
from dialogue_predictor.training.batches import Batch, Pairs
from dialogue_predictor.training.masking import MaskedBatch
from dialogue_predictor.training.objectives import (
    Loss,
    in_steps,
    info_nce,
    masked_modelling,
    sequence_to_sequence,
    simmim,
)

MODEL = "model."
ALIGN_TEMPERATURE = 0.05


class Seq2Seq(nn.Module):
    """History → reply with teacher forcing. `align_weight` is that of the batch's pairs, where it has some."""

    def __init__(
        self,
        model: DialogueTransformer,
        smoothing: float = 0.0,
        bag_weight: float = 0.0,
        align_weight: float = 0.0,
        pointing_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.model = model
        self.smoothing = smoothing
        self.bag_weight = bag_weight
        self.align_weight = align_weight
        self.pointing_weight = pointing_weight

    def forward(self, batch: Batch) -> Loss:
        loss = sequence_to_sequence(self.model, batch, self.smoothing, self.bag_weight, self.pointing_weight)
        return aligned(loss, self.model, batch.pairs, self.align_weight)


def same(rows: Tensor) -> Tensor:
    return rows


class SimMIM(nn.Module):
    """L_MLM + λ·L_contrast: what stood behind the masks, and that both sequences mean the same among all of the batch.

    The encoder reads the original too, but for λ = 0. `temperature` is that of the contrast, whose batch is the whole
    one where `all_rows` fetches the other replicas' rows.
    """

    def __init__(
        self,
        model: DialogueTransformer,
        masked_head: MaskedHead,
        siamese_head: SiameseHead,
        contrast_weight: float = 1.0,
        temperature: float = 0.1,
        align_weight: float = 0.0,
        all_rows: Callable[[Tensor], Tensor] = same,
    ) -> None:
        super().__init__()
        self.model = model
        self.masked_head = masked_head
        self.siamese_head = siamese_head
        self.contrast_weight = contrast_weight
        self.temperature = temperature
        self.align_weight = align_weight
        self.all_rows = all_rows

    def forward(self, batch: MaskedBatch) -> Loss:
        memory = self.model.encode(batch.masked, batch.mask)  # [B, S, D]
        states = memory.flatten(0, 1)[batch.chosen]  # [N, D]
        logits = in_steps(lambda rows: self.masked_head(rows, self.model.model.shared.weight), states)
        loss = masked_modelling(logits, batch.original.flatten()[batch.chosen])
        if self.contrast_weight:
            whole = self.model.encode(batch.original, batch.mask)
            views = [self.all_rows(self.siamese_head(mean_state(states, batch.mask))) for states in (whole, memory)]
            loss = simmim(loss, info_nce(views[0], views[1], self.temperature), self.contrast_weight)
        return aligned(loss, self.model, batch.pairs, self.align_weight)


def aligned(loss: Loss, model: DialogueTransformer, pairs: Pairs | None, weight: float) -> Loss:
    """The loss plus the weighted InfoNCE of the pairs' sentence vectors: the very vectors that are compared later."""
    if pairs is None or not weight:
        return loss
    first = sentence_vectors(model, pairs.first, pairs.first_mask)
    second = sentence_vectors(model, pairs.second, pairs.second_mask)
    return loss._replace(mean=loss.mean + weight * info_nce(first, second, ALIGN_TEMPERATURE, pairs.same))


def model_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The transformer's part of a task's state dict."""
    return {name.removeprefix(MODEL): value for name, value in weights.items() if name.startswith(MODEL)}


def head_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The rest of it."""
    return {name: value for name, value in weights.items() if not name.startswith(MODEL)}


@torch.no_grad()
def initialise(model: DialogueTransformer) -> DialogueTransformer:
    """Larger first weights than mBART's 0.02, which is meant for four times the width: Glorot's for the projections.

    Embeddings begin with the deviation that their scale makes one, positions with a fifth of it.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
    model.model.shared.weight.normal_(std=model.config.d_model**-0.5)
    model.model.shared.weight[model.config.pad_id].zero_()
    for side in (model.model.encoder, model.model.decoder):
        side.embed_positions.weight.normal_(std=0.2)
    return model
