"""Beam search over a frozen state of fixed shapes: `begin`, `advance`, `done`.

Live and finished hypotheses are kept apart, as in T5X. Each search is on its own, with its own number of steps:
nothing here mixes two rows of the batch, so a reply does not depend on its neighbours. No shape depends on data and
nothing waits for the device. The arithmetic follows Hugging Face transformers v5 `_beam_search` operation by
operation, down to -1e9 for "not there", because tokens must agree in ties too.

With diverse beam search each group is a search of its own: a source has G adjacent rows, in all else G is 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from dialogue_predictor.decoding.options import GenerationOptions, TokenIds
from dialogue_predictor.decoding.sampling import signed

ABSENT = -1.0e9


@dataclass(frozen=True)
class BeamState:
    """B searches with K beams each. Tokens begin with the start token and are padded to T + 1."""

    steps: Tensor  # [B], new tokens of the live beams
    live_tokens: Tensor  # [B, K, T + 1]
    live_scores: Tensor  # [B, K], sums of log-probabilities, best first
    finished_tokens: Tensor  # [B, K, T + 1]
    finished_lengths: Tensor  # [B, K], new tokens with the ending one
    finished_scores: Tensor  # [B, K], length-penalised, best first
    is_finished: Tensor  # [B, K], whether the slot holds a hypothesis
    improvable: Tensor  # [B], whether a live beam may still beat a finished one
    broken: Tensor  # [B], whether the model gave scores that are no numbers: nothing it says can be trusted
    seeds: Tensor  # [B], what sampling begins with


@dataclass(frozen=True)
class Candidates:
    """Each search's 2K best continuations, the best first: sums of log-probabilities, the beam and the token."""

    scores: Tensor  # [B, 2K]
    parents: Tensor  # [B, 2K]
    tokens: Tensor  # [B, 2K]


def begin(seeds: Sequence[int], options: GenerationOptions, ids: TokenIds, device: torch.device) -> BeamState:
    """The searches of one source a seed, group by group; of a seed the lowest 64 bits count.

    Only the first beam is there at first, otherwise all beams would find the same tokens.
    """
    beams = options.group_beams
    words = [signed(seed % (1 << 64), 64) for seed in seeds]
    started = torch.tensor(words, dtype=torch.int64, device=device).repeat_interleave(options.beam_groups)
    batch, shape = len(started), (len(started), beams)
    tokens = torch.full((*shape, options.max_new_tokens + 1), ids.pad, dtype=torch.int64, device=device)
    tokens[:, :, 0] = ids.start
    first = torch.arange(beams, device=device) == 0
    return BeamState(
        steps=torch.zeros(batch, dtype=torch.int64, device=device),
        live_tokens=tokens,
        live_scores=torch.where(first, 0.0, ABSENT).expand(shape),
        finished_tokens=tokens,
        finished_lengths=torch.zeros(shape, dtype=torch.int64, device=device),
        finished_scores=torch.full(shape, ABSENT, device=device),
        is_finished=torch.zeros(shape, dtype=torch.bool, device=device),
        improvable=torch.ones(batch, dtype=torch.bool, device=device),
        broken=torch.zeros(batch, dtype=torch.bool, device=device),
        seeds=started,
    )


def latest(state: BeamState) -> Tensor:
    """The live beams' last tokens [B, K]."""
    return state.live_tokens.take_along_dim(state.steps[:, None, None], dim=2)[:, :, 0]


def advance(state: BeamState, found: Candidates, options: GenerationOptions, ids: TokenIds) -> tuple[BeamState, Tensor]:
    """One token more → the state, and each live beam's parent [B, K].

    Does nothing that matters to a search that is done: not to its finished hypotheses, not to `broken`.
    """
    beams = state.live_scores.shape[1]
    over = done(state, options)
    steps = (state.steps + 1).clamp(max=options.max_new_tokens)
    said_end = found.tokens == ids.eos
    ends = said_end | (steps == options.max_new_tokens)[:, None]
    # Log-softmax spreads an infinity or NaN over its row, and NaN is the greatest to topk: the few scores show it.
    broken = state.broken | (found.scores.isnan().any(dim=1) & ~over)

    still_live = found.scores + said_end.float() * ABSENT
    live_scores, survivors = still_live.topk(beams)  # [B, K]
    parents = found.parents.gather(1, survivors)

    # Only the best K candidates may finish; they compete with the finished hypotheses.
    just_finished = ends[:, :beams]
    penalised = per_length(found.scores[:, :beams], steps, options)
    penalised = penalised + (~just_finished).float() * ABSENT
    penalised = penalised.masked_fill(over[:, None], float("-inf"))  # nor by scores that are no numbers any more
    merged = torch.cat((state.finished_scores, penalised), dim=1)  # [B, 2K]
    finished_scores, best = merged.topk(beams)  # [B, K]
    origins = torch.cat(
        (torch.arange(beams, device=best.device).expand(best.shape), found.parents[:, :beams] + beams), 1
    )
    lengths = torch.cat((state.finished_lengths, steps[:, None].expand(best.shape)), dim=1)
    finished_tokens = gather(torch.cat((state.finished_tokens, state.live_tokens), dim=1), origins.gather(1, best))
    last = finished_tokens.take_along_dim(steps[:, None, None], dim=2)[:, :, 0]
    said = found.tokens[:, :beams].gather(1, (best - beams).clamp(min=0))

    after = BeamState(
        steps=steps,
        live_tokens=put(gather(state.live_tokens, parents), steps, found.tokens.gather(1, survivors)),
        live_scores=live_scores,
        finished_tokens=put(finished_tokens, steps, said.where(best >= beams, last)),
        finished_lengths=lengths.gather(1, best),
        finished_scores=finished_scores,
        is_finished=torch.cat((state.is_finished, just_finished), dim=1).gather(1, best),
        improvable=state.improvable,
        broken=broken,
        seeds=state.seeds,
    )
    return replace(after, improvable=improvable(after, options)), parents


def improvable(state: BeamState, options: GenerationOptions) -> Tensor:
    """Whether a search's best live beam may beat its worst finished one → [B].

    An estimate by design, and Hugging Face's: it takes the present length as the final one, except with
    "never" and a positive penalty, where the longest reply would score best.
    """
    hopeful = options.early_stopping == "never" and options.length_penalty > 0.0
    lengths = torch.full_like(state.steps, options.max_new_tokens) if hopeful else state.steps
    reachable = per_length(state.live_scores[:, :1], lengths, options)  # [B, 1]
    worst = state.finished_scores.amin(dim=1, keepdim=True)
    return state.improvable & (reachable > torch.where(state.is_finished, worst, ABSENT)).any(dim=1)


def per_length(scores: Tensor, lengths: Tensor, options: GenerationOptions) -> Tensor:
    """Sums of log-probabilities [B, N] over the lengths [B] to the power of the penalty."""
    if options.length_penalty == 0.0:
        return scores
    return scores / lengths.double().pow(options.length_penalty).to(scores.dtype)[:, None]


def done(state: BeamState, options: GenerationOptions) -> Tensor:
    """Which searches [B] have their final hypotheses; further steps do not change them."""
    over = ~state.improvable | (state.steps == options.max_new_tokens)
    return over | state.is_finished.all(dim=1) if stops_early(options) else over


def stops_early(options: GenerationOptions) -> bool:
    """One beam is greedy search, which ends at its first end."""
    return options.early_stopping is True or options.num_beams == 1


def keep(state: BeamState, rows: Tensor | slice) -> BeamState:
    """Some rows [B'] alone, in this order."""
    return BeamState(**{field.name: getattr(state, field.name)[rows] for field in fields(BeamState)})


def join(states: Sequence[BeamState]) -> BeamState:
    """The rows of several states, in order."""
    return BeamState(
        **{field.name: torch.cat([getattr(state, field.name) for state in states]) for field in fields(BeamState)}
    )


def seat(state: BeamState, rows: Tensor, newcomers: BeamState) -> BeamState:
    """The newcomers' searches [N] in the places of some rows [N]."""
    return BeamState(
        **{
            field.name: getattr(state, field.name).index_copy(0, rows, getattr(newcomers, field.name))
            for field in fields(BeamState)
        }
    )


def gather(values: Tensor, index: Tensor) -> Tensor:
    """Rows [B, M] of values [B, N, ...] → [B, M, ...]."""
    index = index.view(*index.shape, *[1] * (values.dim() - 2))
    return values.take_along_dim(index, dim=1)


def put(tokens: Tensor, steps: Tensor, latest: Tensor) -> Tensor:
    """Writes the tokens [B, K] of each row's step [B] into tokens [B, K, T + 1], in place."""
    return tokens.scatter_(2, steps[:, None, None].expand(-1, tokens.shape[1], 1), latest[:, :, None])
