"""What hypotheses end with, compared with sequences of various lengths at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ANY = -1  # matches every token
NOTHING = -2  # stands before the first token, matches only ANY


@dataclass(frozen=True)
class Past:
    """R hypotheses, each of `steps` new tokens behind the start token; what comes later in `tokens` means nothing."""

    tokens: Tensor  # [R, T + 1]
    steps: Tensor  # [R]

    def said(self) -> Tensor:
        """The tokens [R, T + 1], with the start token wherever nothing has been said yet."""
        places = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        return self.tokens.where(places <= self.steps[:, None], self.tokens[:, :1])

    def tail(self, count: int) -> Tensor:
        """The last tokens [R, count]; NOTHING where there were fewer."""
        places = self.steps[:, None] + torch.arange(1 - count, 1, device=self.tokens.device)
        tokens = self.tokens.gather(1, places.clamp(min=0))
        return tokens.where(places >= 0, NOTHING)


@dataclass(frozen=True)
class Tails:
    """P pairs of a sequence that a hypothesis may end with, and a token that may follow it."""

    sequences: Tensor  # [P, L], filled up with ANY on the left
    followers: Tensor  # [P]

    @classmethod
    def of(cls, pairs: Sequence[tuple[tuple[int, ...], int]], device: torch.device) -> "Tails":
        longest = max(len(tokens) for tokens, _ in pairs)
        padded = [[*[ANY] * (longest - len(tokens)), *tokens] for tokens, _ in pairs]
        followers = [follower for _, follower in pairs]
        return cls(torch.tensor(padded, device=device), torch.tensor(followers, device=device))

    def match(self, past: Past) -> Tensor:
        """Which hypotheses end with which sequences → [R, P]."""
        tail = past.tail(self.sequences.shape[1])
        return ((tail[:, None] == self.sequences) | (self.sequences == ANY)).all(dim=2)
