"""A copy head for decoding on a CPU: what falls on each token of the source, in time that does not grow with the
vocabulary.

`model.copying` says what is computed. Here the attention on the places of one token is added up over the source alone,
by way of the place where the token stands first, and log p is written where the source has tokens and nowhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

from dialogue_predictor.backends.engines.linear import Linear, Packer
from dialogue_predictor.model.copying import CopyHead, log_mixture, packed, unpacked

NO_TOKEN = -1


@dataclass(frozen=True)
class Pointable:
    """What the beams of B sources may copy. On padding stands some token or other: no attention falls on it there."""

    keys: Tensor  # [B, D, S]
    tokens: Tensor  # [B, S], ids
    first: Tensor  # [B, S], the place where the token stands first

    @classmethod
    def of(cls, keys: Tensor, source: Tensor) -> "Pointable":
        """Keys [B, S, D] and source ids [B, S]."""
        same = source[:, :, None] == source[:, None]  # [B, S, S]
        return cls(keys.transpose(1, 2).contiguous(), source, same.to(torch.int8).argmax(dim=2))

    def of_length(self, length: int) -> "Pointable":
        """With the first token on as many places behind as there are missing."""
        missing = length - self.tokens.shape[1]
        if not missing:
            return self
        tokens = functional.pad(self.tokens, (0, missing), value=NO_TOKEN)
        return Pointable(
            keys=functional.pad(self.keys, (0, missing)),
            tokens=tokens.where(tokens != NO_TOKEN, tokens[:, :1]),
            first=functional.pad(self.first, (0, missing)),
        )

    def keep(self, sources: Tensor) -> "Pointable":
        return Pointable(*(part.index_select(0, sources) for part in self.parts))

    def seated(self, sources: Tensor, newcomers: "Pointable") -> "Pointable":
        """The newcomers in the places of some sources [N]."""
        length = max(self.tokens.shape[1], newcomers.tokens.shape[1])
        pairs = zip(self.of_length(length).parts, newcomers.of_length(length).parts, strict=True)
        return Pointable(*(part.index_copy(0, sources, new) for part, new in pairs))

    @property
    def parts(self) -> tuple[Tensor, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))


def joined(several: Sequence[Pointable], length: int) -> Pointable:
    """The sources of several, in order."""
    wide = (each.of_length(length).parts for each in several)
    return Pointable(*(torch.cat(parts) for parts in zip(*wide, strict=True)))


class Pointer:
    """A packed `CopyHead`."""

    def __init__(self, head: CopyHead, pack: Packer) -> None:
        self._width = head.k_proj.out_features
        self._query_and_gate = pack.scaled(head.q_proj, head.gate, factor=self._width**-0.5)
        self.keys = pack(head.k_proj)

    def hidden(self, states: Tensor, source: Pointable, bias: Tensor | None) -> Tensor:
        """States [B, K, D] with bias [B, S] on the places → [B, K, D + 1 + 2·S] as `packed` makes them, but for the
        attention on a place stands that on all places of its token."""
        queries, gate = torch.split(self._query_and_gate(states.flatten(0, 1)), [self._width, 1], dim=1)
        queries = queries.view_as(states)
        scores = torch.bmm(queries, source.keys) if bias is None else torch.baddbmm(bias[:, None], queries, source.keys)
        first = source.first[:, None].expand_as(scores)
        shares = torch.zeros_like(scores).scatter_add_(2, first, scores.softmax(dim=-1)).gather(2, first)
        return packed(states, gate.view(*states.shape[:2], 1), shares, source.tokens)

    def log_probabilities(self, hidden: Tensor, vocabulary: Linear) -> Tensor:
        """Rows [R, D + 1 + 2·S] → log p [R, V]."""
        states, gate, shares, tokens = unpacked(hidden, self._width)
        scores = vocabulary(states.contiguous())
        torch.log_softmax(scores, dim=-1, out=scores)
        copied = log_mixture(scores.gather(1, tokens), gate, shares)
        return scores.add_(functional.logsigmoid(-gate)).scatter_(1, tokens, copied)
