"""What is minimised: pure functions of a batch and a model's outputs.

A loss carries its tokens along, so that reports weigh tokens alike however the batches were cut. Only positions that
hold a token are projected onto the vocabulary: on a small model that product is a third of the work.
"""

from dataclasses import dataclass, replace

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


def sequence_to_sequence(
    model: DialogueTransformer, batch: Batch, smoothing: float = 0.0, bag_weight: float = 0.0
) -> Loss:
    """Teacher forcing: every target token from the source and the target before it, plus the weighted bag of words."""
    memory = model.encode(batch.source, batch.source_mask)  # [B, S, D]
    states = model.decode(batch.target_in, memory, batch.source_mask)  # [B, T, D]
    kept = batch.target_out != IGNORE  # [B, T]
    loss = cross_entropy(model.project(states[kept]), batch.target_out[kept], smoothing)
    if not bag_weight:
        return loss
    bag = bag_of_words(model.project(mean_state(memory, batch.source_mask)), batch.target_out)
    return replace(loss, mean=loss.mean + bag_weight * bag)


def bag_of_words(logits: Tensor, target_out: Tensor) -> Tensor:
    """The words of a target [B, T], in any order, from one vector a source: logits [B, V] (arXiv:1703.10960).

    A young decoder finds it easier to speak without listening: cross-attention gives the encoder next to no gradient,
    and it collapses to a constant. Here the encoder must say what the reply is about before the decoder can use it.
    """
    kept = target_out != IGNORE  # [B, T]
    log_probabilities = functional.log_softmax(logits.float(), dim=-1)  # [B, V]
    return -log_probabilities.gather(1, target_out.clamp(min=0))[kept].mean()


def mean_state(memory: Tensor, mask: Tensor) -> Tensor:
    """Memory [B, S, D] averaged over real tokens → [B, D]."""
    weights = mask.unsqueeze(-1).to(memory.dtype)
    return (memory * weights).sum(1) / weights.sum(1)
