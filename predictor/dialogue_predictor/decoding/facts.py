"""Facts that a reply must not garble: telephone numbers, names, addresses, as token sequences from the knowledge.

The rule: a hypothesis has begun a fact when its last tokens are the first two or more tokens of one. Of several such
tails the longest counts. From then on only tokens that continue a fact with this beginning may follow, until one of
them is complete; then everything may follow again. So a search is free to say a fact or not, but not to say half of
one and go on with something else: only the greatest length of a reply, or a forced token, cuts a fact off. A fact
goes before the bans on repetition and bad words. Facts of one or two tokens cannot be garbled after two, and so
bind nothing.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from dialogue_predictor.decoding.options import Sequences
from dialogue_predictor.decoding.tails import Past, Tails

BEGUN = 2  # tokens


@dataclass(frozen=True)
class Facts:
    """The trie over the facts, node by node: every beginning of a fact with every token that continues it.

    A complete fact is a node as well, with no continuation that would bind (`lengths` counts it half a token longer,
    so that it wins over the same beginning of a longer fact).
    """

    beginnings: Tails
    ranks: Tensor  # [P]: twice the beginning's length, and one more where it is complete

    @classmethod
    def of(cls, facts: Sequences, device: torch.device) -> "Facts | None":
        """None when no fact can bind."""
        open_ends = {(fact[:length], fact[length]) for fact in facts for length in range(BEGUN, len(fact))}
        if not open_ends:
            return None
        complete = {(fact, 0) for fact in facts if len(fact) >= BEGUN}
        nodes = sorted((2 * len(tokens), tokens, follower) for tokens, follower in open_ends)
        nodes += sorted((2 * len(tokens) + 1, tokens, follower) for tokens, follower in complete)
        tails = Tails.of([(tokens, follower) for _, tokens, follower in nodes], device)
        return cls(tails, torch.tensor([rank for rank, _, _ in nodes], device=device))

    def following(self, past: Past) -> tuple[Tensor, Tensor]:
        """Which hypotheses are bound → [R], and which of the nodes' followers they are bound to → [R, P]."""
        ranks = torch.where(self.beginnings.match(past), self.ranks, 0)  # [R, P]
        longest = ranks.amax(dim=1, keepdim=True)
        bound = (longest > 0) & (longest % 2 == 0)
        return bound[:, 0], bound & (ranks == longest)
