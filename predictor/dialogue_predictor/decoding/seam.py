"""The seam between search and model: three functions and nothing else.

Any encoder-decoder that can encode, step and reorder can be searched, on any device and with any cache.
"""

from typing import Protocol, TypeVar

from torch import Tensor

State = TypeVar("State")


class StepModel(Protocol[State]):
    """A model that decodes one token at a time for B sources of K beams."""

    def encode(self, source: Tensor, source_mask: Tensor, /) -> State:
        """Source ids [B, S] and mask [B, S], true on real tokens → a state of one beam a source."""

    def step(self, state: State, tokens: Tensor, /) -> tuple[Tensor, State]:
        """The beams' latest tokens [B, K] → logits [B, K, V] of the next ones; uses the old state up."""

    def reorder(self, state: State, index: Tensor, /) -> State:
        """Takes rows [B', K'] of the old [B, K] numbered through; each row of `index` within one source."""
