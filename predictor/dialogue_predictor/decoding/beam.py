"""Beam search over a frozen state of fixed shapes: `begin`, `advance`, `done`.

Live and finished hypotheses are kept apart, as in T5X. Each source is on its own: nothing here mixes two rows
of the batch, so a reply does not depend on its neighbours. The arithmetic follows Hugging Face transformers
v5 `_beam_search` operation by operation, down to -1e9 for "not there", because tokens must agree in ties too.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dialogue_predictor.decoding.constraints import constrain
from dialogue_predictor.decoding.options import GenerationOptions, TokenIds

ABSENT = -1.0e9


@dataclass(frozen=True)
class BeamState:
    """B searches after `step` new tokens. Tokens begin with the start token and are padded to T + 1."""

    step: int
    live_tokens: Tensor  # [B, K, T + 1]
    live_scores: Tensor  # [B, K], sums of log-probabilities, best first
    finished_tokens: Tensor  # [B, K, T + 1]
    finished_lengths: Tensor  # [B, K], new tokens with the ending one
    finished_scores: Tensor  # [B, K], length-penalised, best first
    is_finished: Tensor  # [B, K], whether the slot holds a hypothesis
    improvable: Tensor  # [B], whether a live beam may still beat a finished one
    broken: Tensor  # [B], whether the model gave scores that are no numbers: nothing it says can be trusted


def begin(batch: int, options: GenerationOptions, ids: TokenIds, device: torch.device) -> BeamState:
    """Only the first beam is there at first, otherwise all beams would find the same tokens."""
    beams, shape = options.num_beams, (batch, options.num_beams)
    tokens = torch.full((*shape, options.max_new_tokens + 1), ids.pad, dtype=torch.int64, device=device)
    tokens[:, :, 0] = ids.start
    first = torch.arange(beams, device=device) == 0
    return BeamState(
        step=0,
        live_tokens=tokens,
        live_scores=torch.where(first, 0.0, ABSENT).expand(shape),
        finished_tokens=tokens,
        finished_lengths=torch.zeros(shape, dtype=torch.int64, device=device),
        finished_scores=torch.full(shape, ABSENT, device=device),
        is_finished=torch.zeros(shape, dtype=torch.bool, device=device),
        improvable=torch.ones(batch, dtype=torch.bool, device=device),
        broken=torch.zeros(batch, dtype=torch.bool, device=device),
    )


def advance(state: BeamState, logits: Tensor, options: GenerationOptions, ids: TokenIds) -> tuple[BeamState, Tensor]:
    """One token more: logits [B, K, V], or [B, 1, V] in the first step → the state, and each beam's parent [B, K].

    Twice as many continuations as beams are looked at, so that K can live on even if K of them end here.
    """
    batch, beams = state.live_scores.shape
    length = state.step + 1
    log_probs = next_log_probs(state, logits, options, ids)  # [B, K, V]
    vocabulary = log_probs.shape[2]
    totals = (log_probs + state.live_scores[:, :, None]).view(batch, beams * vocabulary)
    scores, chosen = totals.topk(2 * beams)  # [B, 2K]
    parents, tokens = chosen // vocabulary, chosen % vocabulary
    candidates = gather(state.live_tokens, parents)  # [B, 2K, T + 1]
    candidates[:, :, length] = tokens
    ends = tokens == ids.eos
    if length == options.max_new_tokens:
        ends = torch.ones_like(ends)

    still_live = scores + ends.float() * ABSENT
    survivors = still_live.topk(beams).indices  # [B, K]
    live = replace(
        state,
        step=length,
        live_tokens=gather(candidates, survivors),
        live_scores=gather(still_live, survivors),
        # Log-softmax spreads an infinity or NaN over its row, and NaN is the greatest to topk: the few scores show it.
        broken=state.broken | scores.isnan().any(dim=1),
    )
    after = finish(live, candidates, scores, ends, options)
    return replace(after, improvable=improvable(after, options)), gather(parents, survivors)


def next_log_probs(state: BeamState, logits: Tensor, options: GenerationOptions, ids: TokenIds) -> Tensor:
    """[B, K or 1, V] → constrained log-probabilities [B, K, V]; one beam's are every beam's in the first step."""
    batch, given, vocabulary = logits.shape
    log_probs = torch.log_softmax(logits.float(), dim=-1).view(batch * given, vocabulary)
    past = state.live_tokens[:, :given, : state.step + 1].reshape(batch * given, -1)
    allowed = constrain(log_probs, past, options, ids.eos)
    return allowed.view(batch, given, vocabulary).expand(-1, state.live_scores.shape[1], -1)


def finish(state: BeamState, candidates: Tensor, scores: Tensor, ends: Tensor, options: GenerationOptions) -> BeamState:
    """Merges the candidates [B, 2K] that end among the best K into the finished hypotheses."""
    beams = state.live_scores.shape[1]
    just_finished = ends & (torch.arange(2 * beams, device=ends.device) < beams)
    closed = ~state.improvable[:, None]
    if stops_early(options):
        closed = closed | state.is_finished.all(dim=1, keepdim=True)
    penalised = per_length(scores, state.step, options)
    penalised = penalised + closed.float() * ABSENT + (~just_finished).float() * ABSENT
    lengths = torch.full_like(ends, state.step, dtype=torch.int64)

    merged = torch.cat((state.finished_scores, penalised), dim=1)  # [B, 3K]
    best = merged.topk(beams).indices  # [B, K]
    return replace(
        state,
        finished_tokens=gather(torch.cat((state.finished_tokens, candidates), dim=1), best),
        finished_lengths=gather(torch.cat((state.finished_lengths, lengths), dim=1), best),
        finished_scores=gather(merged, best),
        is_finished=gather(torch.cat((state.is_finished, just_finished), dim=1), best),
    )


def improvable(state: BeamState, options: GenerationOptions) -> Tensor:
    """Whether a source's best live beam may beat its worst finished one → [B].

    An estimate by design, and Hugging Face's: it takes the present length as the final one, except with
    "never" and a positive penalty, where the longest reply would score best.
    """
    hopeful = options.early_stopping == "never" and options.length_penalty > 0.0
    length = options.max_new_tokens if hopeful else state.step
    reachable = per_length(state.live_scores[:, :1], length, options)  # [B, 1]
    worst = state.finished_scores.amin(dim=1, keepdim=True)
    return state.improvable & (reachable > torch.where(state.is_finished, worst, ABSENT)).any(dim=1)


def per_length(scores: Tensor, length: int, options: GenerationOptions) -> Tensor:
    """Sums of log-probabilities over the length to the power of the penalty."""
    return scores / math.pow(length, options.length_penalty)


def done(state: BeamState, options: GenerationOptions) -> Tensor:
    """Which sources [B] have their final hypotheses; further steps would not change them."""
    if state.step == options.max_new_tokens:
        return torch.ones_like(state.improvable)
    if stops_early(options):
        return ~state.improvable | state.is_finished.all(dim=1)
    return ~state.improvable


def stops_early(options: GenerationOptions) -> bool:
    """One beam is greedy search, which ends at its first end."""
    return options.early_stopping is True or options.num_beams == 1


def keep(state: BeamState, sources: Tensor) -> BeamState:
    """The searches of some sources [B'] alone."""
    return BeamState(
        step=state.step,
        live_tokens=state.live_tokens[sources],
        live_scores=state.live_scores[sources],
        finished_tokens=state.finished_tokens[sources],
        finished_lengths=state.finished_lengths[sources],
        finished_scores=state.finished_scores[sources],
        is_finished=state.is_finished[sources],
        improvable=state.improvable[sources],
        broken=state.broken[sources],
    )


def gather(values: Tensor, index: Tensor) -> Tensor:
    """Rows [B, M] of values [B, N, ...] → [B, M, ...]."""
    index = index.view(*index.shape, *[1] * (values.dim() - 2))
    return values.take_along_dim(index, dim=1)
