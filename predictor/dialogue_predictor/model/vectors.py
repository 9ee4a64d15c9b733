"""What a source means as one vector."""

from torch import Tensor
from torch.nn import functional

from dialogue_predictor.model.transformer import DialogueTransformer


def sentence_vectors(model: DialogueTransformer, source: Tensor, source_mask: Tensor) -> Tensor:
    """Source ids and mask [B, S], true on real tokens → vectors [B, D] of length 1, whose products are cosines.

    The mean over the tokens, those of roles included: Reimers and Gurevych 2019, arXiv:1908.10084.
    """
    return functional.normalize(mean_state(model.encode(source, source_mask), source_mask), dim=-1)


def mean_state(memory: Tensor, mask: Tensor) -> Tensor:
    """Memory [B, S, D] averaged over real tokens → [B, D]."""
    weights = mask.unsqueeze(-1).to(memory.dtype)
    return (memory * weights).sum(1) / weights.sum(1)
