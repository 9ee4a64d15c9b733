"""From hidden states to each source's best continuations, the part of a step that grows with the vocabulary.

A few rows at a time, so that their logits are still in the CPU's cache when they are looked at again; and the best of
each row by way of the best of each block of tokens, which is one fast pass instead of a slow selection.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from dialogue_predictor.decoding.beam import BeamState, Candidates, keep
from dialogue_predictor.decoding.constraints import IMPOSSIBLE, constrain, discourage
from dialogue_predictor.decoding.rules import Rules
from dialogue_predictor.decoding.sampling import gumbel, warped
from dialogue_predictor.decoding.tails import Past

ROWS = 128
BLOCK = 64  # tokens


@dataclass(frozen=True)
class Crowd:
    """Tokens that other groups said in this step, each with what saying it again costs."""

    tokens: Tensor  # [B, M]
    costs: Tensor  # [B, M]

    def with_more(self, tokens: Tensor, costs: Tensor) -> "Crowd":
        return Crowd(torch.cat((self.tokens, tokens), dim=1), torch.cat((self.costs, costs), dim=1))


def candidates(
    project: Callable[[Tensor], Tensor], hidden: Tensor, beams: BeamState, rules: Rules, crowd: Crowd | None = None
) -> Candidates:
    """Hidden [B, K, D], or [B, 1, D] in the first step, where one beam's scores are every beam's → the candidates.

    Twice as many as beams, so that K can live on even if K of them end here.
    """
    batch, given, _ = hidden.shape
    size = max(1, ROWS // given)
    if batch <= size:
        return best(project(hidden.flatten(0, 1)), beams, rules, crowd)
    parts = []
    for start in range(0, batch, size):
        rows = slice(start, start + size)
        some = Crowd(crowd.tokens[rows], crowd.costs[rows]) if crowd else None
        parts.append(best(project(hidden[rows].flatten(0, 1)), keep(beams, rows), rules, some))
    return Candidates(
        scores=torch.cat([part.scores for part in parts]),
        parents=torch.cat([part.parents for part in parts]),
        tokens=torch.cat([part.tokens for part in parts]),
    )


def best(logits: Tensor, beams: BeamState, rules: Rules, crowd: Crowd | None) -> Candidates:
    """Logits [B * K, V], or [B, V] in the first step → the candidates."""
    batch = len(beams.steps)
    given, vocabulary = logits.shape[0] // batch, logits.shape[1]
    scores = continuations(logits, beams, rules, crowd)
    wanted = scores
    if rules.options.sample:
        numbers = torch.arange(given, device=logits.device).repeat(batch)
        seeds, steps = (each.repeat_interleave(given) for each in (beams.seeds, beams.steps))
        wanted = scores + gumbel(seeds, steps, numbers, vocabulary)
    sums, parents, tokens = greatest(wanted, beams.live_scores, given)
    if rules.options.sample:  # in the order of the draws, but with their scores
        places = parents.clamp(max=given - 1) * vocabulary + tokens
        sums = scores.view(batch, -1).gather(1, places) + beams.live_scores.gather(1, parents)
        if rules.options.num_beams == 1:  # one draw, which a likelier second one must not replace
            sums[:, 1:] = IMPOSSIBLE
    return forced(Candidates(sums, parents, tokens), beams, rules)


def continuations(logits: Tensor, beams: BeamState, rules: Rules, crowd: Crowd | None) -> Tensor:
    """Logits [R, V] → log-probabilities [R, V] under the options, those of forced tokens apart."""
    options, logits = rules.options, logits.float()
    given = logits.shape[0] // len(beams.steps)
    past = Past(beams.live_tokens[:, :given].flatten(0, 1), beams.steps.repeat_interleave(given))
    penalty = options.repetition_penalty
    if penalty != 1.0 and options.num_beams == 1:  # Hugging Face: one beam's logits, several beams' log-probabilities
        logits = discourage(logits, past, penalty)
    scores = torch.log_softmax(logits, dim=-1, out=logits)  # in place, for the cache's sake
    if crowd is not None:
        tokens, costs = (each.repeat_interleave(given, dim=0) for each in (crowd.tokens, crowd.costs))
        scores.scatter_add_(1, tokens, -costs)
    if penalty != 1.0 and options.num_beams > 1:
        scores = discourage(scores, past, penalty)
    constrain(scores, past, rules)
    return warped(scores, options) if options.sample else scores


def greatest(scores: Tensor, live_scores: Tensor, given: int) -> tuple[Tensor, Tensor, Tensor]:
    """The 2K greatest of live scores [B, K] plus scores [B * K or B, V] → sums, parents, tokens, each [B, 2K].

    They lie in the 2K blocks with the greatest maxima. Exact, NaN included, which is the greatest of all.
    """
    batch, count = live_scores.shape
    vocabulary = scores.shape[1]
    maxima = block_maxima(scores).view(batch, given, -1) + live_scores[:, :, None]  # [B, K, N]
    blocks = maxima.shape[2]
    chosen = maxima.view(batch, -1).topk(min(2 * count, count * blocks), sorted=False).indices  # [B, M]
    beams = chosen // blocks
    tokens = (chosen % blocks * BLOCK)[:, :, None] + torch.arange(BLOCK, device=scores.device)  # [B, M, BLOCK]
    places = (beams.clamp(max=given - 1) * vocabulary)[:, :, None] + tokens.clamp(max=vocabulary - 1)
    sums = scores.view(batch, -1).gather(1, places.flatten(1)).view_as(tokens)
    sums = sums + live_scores.gather(1, beams)[:, :, None]
    if vocabulary % BLOCK:
        sums = sums.masked_fill(tokens >= vocabulary, IMPOSSIBLE)
    top, index = sums.flatten(1).topk(2 * count)
    return top, beams.gather(1, index // BLOCK), tokens.flatten(1).gather(1, index).clamp(max=vocabulary - 1)


def block_maxima(scores: Tensor) -> Tensor:
    """The greatest of every BLOCK tokens: [R, V] → [R, N], the last block a shorter one."""
    rows, vocabulary = scores.shape
    whole = vocabulary // BLOCK * BLOCK
    maxima = scores[:, :whole].view(rows, -1, BLOCK).amax(dim=2) if whole else scores.new_empty(rows, 0)
    if whole == vocabulary:
        return maxima
    return torch.cat((maxima, scores[:, whole:].amax(dim=1, keepdim=True)), dim=1)


def forced(found: Candidates, beams: BeamState, rules: Rules) -> Candidates:
    """The candidates, but those of a forced token where a source's step has one: each beam's, and then nothing."""
    options = rules.options
    for token, step in ((options.forced_bos_id, 0), (options.forced_eos_id, options.max_new_tokens - 1)):
        if token is None:
            continue
        here = (beams.steps == step)[:, None]
        live = beams.live_scores
        numbers = torch.arange(live.shape[1], device=live.device).repeat(2)
        found = Candidates(
            scores=torch.where(here, functional.pad(live, (0, live.shape[1]), value=IMPOSSIBLE), found.scores),
            parents=torch.where(here, numbers, found.parents),
            tokens=found.tokens.masked_fill(here, token),
        )
    return found
