"""What a reply may not say next: no repeated n-grams, no early end, forced first and last tokens.

In the order in which Hugging Face applies them, because a later constraint overrides an earlier one.
"""

import torch
from torch import Tensor

from dialogue_predictor.decoding.options import GenerationOptions

IMPOSSIBLE = float("-inf")


def constrain(log_probs: Tensor, past: Tensor, options: GenerationOptions, eos: int) -> Tensor:
    """Log-probabilities [R, V] after `past` [R, L], which begins with the start token → [R, V]."""
    new_tokens = past.shape[1] - 1
    if options.no_repeat_ngram:
        log_probs = log_probs.masked_fill(repeats(past, options.no_repeat_ngram, log_probs.shape[1]), IMPOSSIBLE)
    if new_tokens < options.min_new_tokens:
        log_probs = without(log_probs, eos)
    if new_tokens == 0 and options.forced_bos_id is not None:
        log_probs = only(log_probs, options.forced_bos_id)
    if new_tokens == options.max_new_tokens - 1 and options.forced_eos_id is not None:
        log_probs = only(log_probs, options.forced_eos_id)
    return log_probs


def repeats(past: Tensor, size: int, vocabulary: int) -> Tensor:
    """Which tokens would repeat an n-gram of `size` in `past` [R, L] → [R, V].

    Example: size 2, past `7 8 9 7` → 8, because `7 8` has been said.
    """
    rows, length = past.shape
    banned = torch.zeros(rows, vocabulary + 1, dtype=torch.bool, device=past.device)
    if length >= size:
        grams = past.unfold(1, size, 1)  # [R, L - size + 1, size]
        current = past[:, length - size + 1 :]  # [R, size - 1]
        same = (grams[:, :, :-1] == current[:, None]).all(dim=2)
        banned.scatter_(1, grams[:, :, -1].where(same, vocabulary), True)  # the last column takes the rest
    return banned[:, :vocabulary]


def without(log_probs: Tensor, token: int) -> Tensor:
    return log_probs.index_fill(1, torch.tensor([token], device=log_probs.device), IMPOSSIBLE)


def only(log_probs: Tensor, token: int) -> Tensor:
    return torch.full_like(log_probs, IMPOSSIBLE).index_fill(1, torch.tensor([token], device=log_probs.device), 0.0)
