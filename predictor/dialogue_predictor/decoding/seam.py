"""The seam between search and model: five functions and nothing else.

Any encoder-decoder that has them can be searched, on any device and with any cache. Each source has its own length:
sources that were encoded at different times are decoded together.

A model may say more about how it likes to be used, by attributes that are looked for and not demanded:
`rows(n) -> int`, how many sources a batch of `n` is to be filled up to (fixed shapes); `turns_per_look: int`, after how
many turns the search looks at what came out (each look waits for the device);
`seat(state, sources, newcomers) -> state`, which gives the places of sources that have left to as many newcomers, at less
cost than a `join`; `device`, where it computes if not on the CPU; and
`turn(state, beams, rules) -> (beams, state)`, a whole turn but the first, for which `decoding.turn.turn` is the rule.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from torch import Tensor

State = TypeVar("State")


class StepModel(Protocol[State]):
    """A model that decodes one token at a time for B sources of K beams."""

    def encode(self, source: Tensor, source_mask: Tensor, /) -> State:
        """Source ids [B, S] and mask [B, S], true on real tokens → a state of one beam a source, nothing decoded."""

    def step(self, state: State, tokens: Tensor, /) -> tuple[Tensor, State]:
        """The beams' latest tokens [B, K] → hidden [B, K, W] of the next ones, W being whatever `project` needs; uses the
        old state up.

        A source may be stepped beyond its last position; what comes out then is not looked at.
        """

    def project(self, hidden: Tensor, /) -> Tensor:
        """Hidden [R, W] → logits or log p [R, V]; apart from `step`, so that a few rows at a time stay in a CPU's cache.
        The caller may write into what it gets."""

    def reorder(self, state: State, index: Tensor, /) -> State:
        """Takes rows [B', K'] of the old [B, K] numbered through; each row of `index` within one source."""

    def join(self, states: Sequence[State], /) -> State:
        """The sources of several states with the same number of beams, in order, as one state."""
