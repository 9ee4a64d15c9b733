"""What is minimised: pure functions of a batch and a model's outputs.

A loss carries its tokens along, so that reports weigh tokens alike however the batches were cut. Only positions that
hold a token are projected onto the vocabulary: on a small model that product is a third of the work.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from dialogue_predictor.model.transformer import DialogueTransformer
from dialogue_predictor.training.batches import IGNORE, Batch


@dataclass(frozen=True, slots=True)
class Loss:
    """`mean` has the gradient; `nll` is the summed negative log-likelihood without smoothing, over `tokens`."""

    mean: Tensor
    nll: float
    tokens: int


def cross_entropy(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Loss:
    """Logits [N, V] against targets [N], with label smoothing (arXiv:1512.00567).

    The smoothed loss is (1 − ε)·nll + ε·(mean over the vocabulary of −log p).
    """
    log_probabilities = functional.log_softmax(logits.float(), dim=-1)  # [N, V]
    nll = -log_probabilities.gather(1, targets.unsqueeze(1)).mean()
    mean = nll if smoothing == 0 else (1 - smoothing) * nll - smoothing * log_probabilities.mean()
    tokens = int(targets.shape[0])
    return Loss(mean, float(nll.detach()) * tokens, tokens)


def sequence_to_sequence(model: DialogueTransformer, batch: Batch, smoothing: float = 0.0) -> Loss:
    """Teacher forcing: every target token from the source and the target before it."""
    memory = model.encode(batch.source, batch.source_mask)  # [B, S, D]
    states = model.decode(batch.target_in, memory, batch.source_mask)  # [B, T, D]
    kept = batch.target_out != IGNORE  # [B, T]
    return cross_entropy(model.project(states[kept]), batch.target_out[kept], smoothing)
