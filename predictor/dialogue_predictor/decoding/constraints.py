"""What a reply may not say next, or less readily: repetition, bad words, an early end, half a fact.

In the order in which Hugging Face applies them, because a later constraint overrides an earlier one. All of them
touch a few tokens of each row of scores [R, V], not the vocabulary; the rows are changed in place.
"""

import torch
from torch import Tensor

from dialogue_predictor.decoding.rules import Rules
from dialogue_predictor.decoding.tails import Past

IMPOSSIBLE = float("-inf")
UNCHANGED = float("inf")  # the other operand of a minimum


def constrain(log_probs: Tensor, past: Past, rules: Rules) -> None:
    """Log-probabilities [R, V] of what follows `past`, changed in place."""
    if rules.facts is None:
        ban_all(log_probs, past, rules)
        return
    bound, continuing = rules.facts.following(past)
    followers = rules.facts.beginnings.followers.expand(len(log_probs), -1)  # [R, P]
    continued = log_probs.gather(1, followers).where(continuing, IMPOSSIBLE)
    ban_all(log_probs, past, rules)
    log_probs.masked_fill_(bound[:, None], IMPOSSIBLE)
    log_probs.scatter_reduce_(1, followers, continued, "amax")


def ban_all(log_probs: Tensor, past: Past, rules: Rules) -> None:
    """Makes impossible what the options forbid, in place."""
    options = rules.options
    if 0 < options.no_repeat_ngram <= options.max_new_tokens:
        ban(log_probs, *repeats(past, options.no_repeat_ngram))
    if rules.bad_tokens is not None:
        log_probs.index_fill_(1, rules.bad_tokens, IMPOSSIBLE)
    if rules.bad_phrases is not None:
        ban(log_probs, rules.bad_phrases.followers.expand(len(log_probs), -1), rules.bad_phrases.match(past))
    if options.min_new_tokens:
        log_probs[:, rules.ids.eos].masked_fill_(past.steps < options.min_new_tokens, IMPOSSIBLE)


def discourage(scores: Tensor, past: Past, penalty: float) -> Tensor:
    """Makes what has been said less likely, by a factor: Keskar et al. 2019, arXiv:1909.05858 → [R, V]."""
    said = past.said()
    before = scores.gather(1, said)
    return scores.scatter(1, said, torch.where(before < 0, before * penalty, before / penalty))


def repeats(past: Past, size: int) -> tuple[Tensor, Tensor]:
    """Tokens [R, N] of which those marked [R, N] would repeat an n-gram of `size`.

    Example: size 2, past `7 8 9 7` → 8, because `7 8` has been said.
    """
    grams = past.tokens.unfold(1, size, 1)  # [R, T + 2 - size, size]
    ends = torch.arange(size - 1, past.tokens.shape[1], device=past.tokens.device)
    same = (grams[:, :, :-1] == past.tail(size - 1)[:, None]).all(dim=2) & (ends <= past.steps[:, None])
    return grams[:, :, -1], same


def ban(scores: Tensor, tokens: Tensor, marked: Tensor) -> None:
    """Makes the marked tokens [R, N] of each row impossible, in place."""
    limits = torch.where(marked, IMPOSSIBLE, UNCHANGED).to(scores.dtype)
    scores.scatter_reduce_(1, tokens, limits, "amin")
