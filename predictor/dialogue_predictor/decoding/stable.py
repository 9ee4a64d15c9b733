"""The part of a reply that can no longer change, while the search goes on.

Streaming may show only that. A source's reply will be either its best finished hypothesis or the end of a
live one, so what these agree on is final: exact beam search with an early first token.
"""

import torch
from torch import Tensor

from dialogue_predictor.decoding.beam import ABSENT, BeamState, per_length
from dialogue_predictor.decoding.options import GenerationOptions


def stable_lengths(state: BeamState, options: GenerationOptions) -> tuple[Tensor, Tensor]:
    """How many new tokens are settled → lengths [B], and tokens [B, T + 1] whose beginning they are.

    The ending token is never part of it.
    """
    tokens = torch.cat((state.finished_tokens, state.live_tokens), dim=1)  # [B, 2K, T + 1]
    possible = torch.cat((finished_may_win(state), live_may_win(state, options)), dim=1)  # [B, 2K]
    lengths = torch.cat((state.finished_lengths - 1, torch.full_like(state.finished_lengths, state.step)), dim=1)

    any_possible = possible.to(torch.int8).argmax(dim=1)  # [B]
    example = tokens.take_along_dim(any_possible[:, None, None], dim=1)  # [B, 1, T + 1]
    agreed = ((tokens == example) | ~possible[:, :, None]).all(dim=1)[:, 1:]  # [B, T]
    shortest = lengths.where(possible, options.max_new_tokens).amin(dim=1)
    settled = agreed.cumprod(dim=1).sum(dim=1).minimum(shortest)
    return settled.where(possible.any(dim=1), 0), example[:, 0]


def finished_may_win(state: BeamState) -> Tensor:
    """Only the best finished hypothesis, or several with the same score → [B, K]."""
    return state.is_finished & (state.finished_scores == state.finished_scores[:, :1])


def live_may_win(state: BeamState, options: GenerationOptions) -> Tensor:
    """Live beams whose best imaginable end reaches the best finished score → [B, K].

    Log-probabilities never grow, so a beam's score can only be improved by its length, and most so by the
    next or by the greatest one, whichever the penalty favours.
    """
    soonest = per_length(state.live_scores, state.step + 1, options)
    latest = per_length(state.live_scores, options.max_new_tokens, options)
    reachable = soonest.maximum(latest)
    there = state.live_scores > ABSENT / 2
    return there & (reachable >= state.finished_scores[:, :1])
