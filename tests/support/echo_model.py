"""A model whose reply is its source, so that a reply given to the wrong request is seen; and whose engine breaks on demand."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from dialogue_predictor.decoding.options import TokenIds

Call = Literal["encode", "step", "project", "reorder", "join"]

VOCABULARY = 40
IDS = TokenIds(start=2, eos=2, pad=0)
FIRST_WORD = 3
CERTAIN = 20.0  # a logit


@dataclass(frozen=True)
class EchoState:
    targets: Tensor  # [B, S + 1], the source and behind it the end
    steps: Tensor  # [B], tokens decoded
    beams: int


class EchoModel:
    """Says every source's own tokens and ends, unless it is told to break."""

    def __init__(self) -> None:
        self.calls: Counter[Call] = Counter()
        self._faults: set[tuple[Call, int]] = set()
        self.encoded: list[tuple[int, ...]] = []  # sources
        self.poisoned: set[int] = set()  # sources that begin with these tokens get scores that are no numbers
        self.fatal: BaseException | None = None

    def breaks(self, call: Call, after: int = 0) -> None:
        """The next such call raises, or the one so many calls later."""
        self._faults.add((call, self.calls[call] + 1 + after))

    def encode(self, source: Tensor, source_mask: Tensor) -> EchoState:
        self._called("encode")
        self.encoded += [tuple(ids[: int(mask.sum())]) for ids, mask in zip(source.tolist(), source_mask, strict=True)]
        targets = torch.nn.functional.pad(source.where(source_mask, IDS.eos), (0, 1), value=IDS.eos)
        return EchoState(targets, torch.zeros(len(source), dtype=torch.int64), beams=1)

    def step(self, state: EchoState, tokens: Tensor) -> tuple[Tensor, EchoState]:
        self._called("step")
        assert tokens.shape == (len(state.steps), state.beams)
        at = state.steps.clamp(max=state.targets.shape[1] - 1)
        said = state.targets.gather(1, at[:, None]).expand(tokens.shape)  # [B, K]
        hidden = torch.nn.functional.one_hot(said, VOCABULARY) * CERTAIN
        for row, first in enumerate(state.targets[:, 0].tolist()):
            if first in self.poisoned:
                hidden[row] = float("nan")
        return hidden, EchoState(state.targets, state.steps + 1, state.beams)

    def project(self, hidden: Tensor) -> Tensor:
        self._called("project")
        return hidden

    def reorder(self, state: EchoState, index: Tensor) -> EchoState:
        self._called("reorder")
        sources = index // state.beams
        assert (sources == sources[:, :1]).all(), "a beam went to another source"
        return EchoState(state.targets[sources[:, 0]], state.steps[sources[:, 0]], index.shape[1])

    def join(self, states: Sequence[EchoState]) -> EchoState:
        self._called("join")
        width = max(state.targets.shape[1] for state in states)
        padded = [
            torch.nn.functional.pad(state.targets, (0, width - state.targets.shape[1]), value=IDS.eos)
            for state in states
        ]
        return EchoState(torch.cat(padded), torch.cat([state.steps for state in states]), states[0].beams)

    def _called(self, call: Call) -> None:
        self.calls[call] += 1
        if self.fatal is not None:
            raise self.fatal
        if (call, self.calls[call]) in self._faults:
            raise RuntimeError(f"{call} broke")
