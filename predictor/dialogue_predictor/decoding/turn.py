"""A turn: one token more for every beam of every source of a batch, model and search together.

A function of tensors alone. No shape depends on data and nothing waits for the device, so that a turn can be recorded
once and played again (a CUDA graph); a search that is done takes part in further turns without harm.
"""

import torch
from torch import Tensor

from dialogue_predictor.decoding.beam import BeamState, advance, done, join, keep, latest
from dialogue_predictor.decoding.candidates import Crowd, candidates
from dialogue_predictor.decoding.rules import Rules
from dialogue_predictor.decoding.seam import State, StepModel


@torch.inference_mode()
def turn(
    model: StepModel[State], state: State, beams: BeamState, rules: Rules, *, first: bool = False
) -> tuple[BeamState, State]:
    """Uses the old state up. In a source's first turn its beams are all alike, and the model's state has only one."""
    options = rules.options
    tokens = latest(beams).view(-1, options.num_beams)  # [B, K]
    hidden, state = model.step(state, tokens[:, :1] if first else tokens)
    batch, given, _ = hidden.shape
    if options.beam_groups == 1:
        beams, parents = advance(beams, candidates(model.project, hidden, beams, rules), options, rules.ids)
    else:
        beams, parents = advance_groups(model, hidden, beams, rules)
    first_rows = torch.arange(batch, device=parents.device)[:, None] * given
    return beams, model.reorder(state, first_rows + parents.clamp(max=given - 1))


def advance_groups(model: StepModel[State], hidden: Tensor, beams: BeamState, rules: Rules) -> tuple[BeamState, Tensor]:
    """Diverse beam search (Vijayakumar et al. 2016, arXiv:1610.02424): group after group, each away from those before.

    Hidden [B, K or 1, D] and the groups' searches [B * G] → the searches, and each beam's parent [B, K].
    The penalty stays part of the scores, as in Hugging Face transformers v4. Groups that are done have no say.
    """
    options = rules.options
    groups, size = options.beam_groups, options.group_beams
    after: list[BeamState] = []
    parents: list[Tensor] = []
    crowd: Crowd | None = None
    for group in range(groups):
        own = keep(beams, slice(group, None, groups))  # [B]
        own_hidden = hidden if hidden.shape[1] == 1 else hidden[:, group * size : (group + 1) * size]
        found = candidates(model.project, own_hidden, own, rules, crowd)
        costs = torch.where(done(own, options), 0.0, options.diversity_penalty)[:, None].expand(-1, size)
        own, own_parents = advance(own, found, options, rules.ids)
        crowd = Crowd(latest(own), costs) if crowd is None else crowd.with_more(latest(own), costs)
        after.append(own)
        parents.append(own_parents + group * size)
    interleaved = torch.arange(len(beams.steps), device=hidden.device).view(groups, -1).T.flatten()
    return keep(join(after), interleaved), torch.cat(parents, dim=1)
