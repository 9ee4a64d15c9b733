"""The part of a reply that can no longer change, while the search goes on.

Streaming may show only that. A source's reply will be either its best finished hypothesis or the end of a
live one, so what these agree on is final: exact beam search with an early first token.
"""

import torch
from torch import Tensor

from dialogue_predictor.decoding.beam import ABSENT, BeamState, done, per_length
from dialogue_predictor.decoding.options import GenerationOptions


def stable_lengths(state: BeamState, options: GenerationOptions) -> tuple[Tensor, Tensor]:
    """How many new tokens of each source are settled → lengths [B], and tokens [B, T + 1] whose beginning they are.

    The ending token is never part of it. With G groups of beams a source's hypotheses are those of all its G rows.
    """
    sources = len(state.steps) // options.beam_groups
    finished_scores = state.finished_scores.view(sources, -1)  # [B, K]
    is_finished = state.is_finished.view(sources, -1)
    best = finished_scores.amax(dim=1, keepdim=True)
    possible = torch.cat(
        (is_finished & (finished_scores == best), live_may_reach(state, best, options).view(sources, -1)), dim=1
    )  # [B, 2K]
    steps = state.steps[:, None].expand(state.finished_lengths.shape)
    lengths = torch.cat(((state.finished_lengths - 1).view(sources, -1), steps.reshape(sources, -1)), dim=1)
    longest = state.live_tokens.shape[2]
    tokens = torch.cat(
        (state.finished_tokens.view(sources, -1, longest), state.live_tokens.view(sources, -1, longest)), dim=1
    )  # [B, 2K, T + 1]

    any_possible = possible.to(torch.int8).argmax(dim=1)  # [B]
    example = tokens.take_along_dim(any_possible[:, None, None], dim=1)  # [B, 1, T + 1]
    agreed = ((tokens == example) | ~possible[:, :, None]).all(dim=1)[:, 1:]  # [B, T]
    shortest = lengths.where(possible, options.max_new_tokens).amin(dim=1)
    settled = agreed.cumprod(dim=1).sum(dim=1).minimum(shortest)
    return settled.where(possible.any(dim=1), 0), example[:, 0]


def live_may_reach(state: BeamState, best: Tensor, options: GenerationOptions) -> Tensor:
    """Live beams whose best imaginable end reaches their source's best finished score [B, 1] → [B * G, K].

    Scores never grow, so a beam's can only be improved by its length, and most so by the next or by the greatest
    one, whichever the penalty favours.
    """
    soonest = per_length(state.live_scores, (state.steps + 1).clamp(max=options.max_new_tokens), options)
    latest = per_length(state.live_scores, torch.full_like(state.steps, options.max_new_tokens), options)
    reachable = soonest.maximum(latest)
    there = (state.live_scores > ABSENT / 2) & ~done(state, options)[:, None]
    return there & (reachable >= best.repeat_interleave(options.beam_groups, dim=0))
