"""What sources on an accelerator know of their past: tensors only, with the sources as first dimension.

Written keys and values never move. A beam's past is a row of `ancestry`, so that reordering beams gathers a few
kilobytes; this is the indirection table of FasterTransformer, as a mask over all beams' slots.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional

LEAST_SOURCE = 16  # the fused attention reads masks in pieces of 16, and copies those that do not fill them
LEAST_SLOTS = 64
NO_TOKEN = -1

BARRED = float("-inf")

Record = TypeVar("Record")


@dataclass(frozen=True)
class CudaState:
    """B sources of K beams. L decoder layers, M of them different, H heads of width W, S source positions, N slots of the cache.

    A step writes its beams' keys and values into the next free slots of their source and its successor shares the
    buffers: of a state's successors only the latest may be used.
    """

    memory: Tensor  # [B, S, M, 2, H, W], what beams attend to in their source, shared by them
    memory_mask: Tensor  # [B, 1, 1, S], 0 where there is a token, else -inf
    cache: Tensor  # [B, N, L, 2, H, W], what beams attend to in their past
    ancestry: Tensor  # [B, K, N], 0 where the beam descends from the slot, else -inf
    copied: Tensor | None  # [B, S, D], the keys of a copy head
    source: Tensor  # [B, S], ids, NO_TOKEN on padding
    lengths: Tensor  # [B], tokens decoded
    used: Tensor  # [B], slots written
    reach: int  # no source has used more slots; known without asking the accelerator

    @property
    def sources(self) -> int:
        return self.ancestry.shape[0]

    @property
    def slots(self) -> int:
        return self.cache.shape[1]

    def places(self, beams: int) -> Tensor:
        """The slots [B, K] of the next step. A source that goes on after its end overwrites its last slots."""
        first = self.used.clamp(max=self.slots - beams)
        return first[:, None] + torch.arange(beams, device=first.device)

    def with_slots(self, count: int) -> "CudaState":
        """The same state where there are as many, else one with more room."""
        return widened(self, self.memory.shape[1], bucket(count, LEAST_SLOTS))


def widened(state: CudaState, source: int, slots: int) -> CudaState:
    """Room for at least so many source positions and slots; what is new is masked."""
    more_source, more_slots = source - state.memory.shape[1], slots - state.slots
    if more_source > 0:
        state = replace(
            state,
            memory=functional.pad(state.memory, (0, 0) * 4 + (0, more_source)),
            memory_mask=functional.pad(state.memory_mask, (0, more_source), value=BARRED),
            copied=None if state.copied is None else functional.pad(state.copied, (0, 0, 0, more_source)),
            source=functional.pad(state.source, (0, more_source), value=NO_TOKEN),
        )
    if more_slots > 0:
        state = replace(
            state,
            cache=functional.pad(state.cache, (0, 0) * 4 + (0, more_slots)),
            ancestry=functional.pad(state.ancestry, (0, more_slots), value=BARRED),
        )
    return state


def joined(states: Sequence[CudaState]) -> CudaState:
    """The sources of several states, in order."""
    source = max(state.memory.shape[1] for state in states)
    slots = max(state.slots for state in states)
    wide = [widened(state, source, slots) for state in states]
    copied = [state.copied for state in wide if state.copied is not None]
    return CudaState(
        memory=torch.cat([state.memory for state in wide]),
        memory_mask=torch.cat([state.memory_mask for state in wide]),
        cache=torch.cat([state.cache for state in wide]),
        ancestry=torch.cat([state.ancestry for state in wide]),
        copied=torch.cat(copied) if copied else None,
        source=torch.cat([state.source for state in wide]),
        lengths=torch.cat([state.lengths for state in wide]),
        used=torch.cat([state.used for state in wide]),
        reach=max(state.reach for state in wide),
    )


def bucket(size: int, smallest: int = 1) -> int:
    """The least power of two times `smallest` that holds `size`."""
    while smallest < size:
        smallest *= 2
    return smallest


def tensors(record: object) -> list[Tensor]:
    """The tensors of a dataclass, in order."""
    values = (getattr(record, field.name) for field in fields(record))  # type: ignore[arg-type]
    return [value for value in values if isinstance(value, Tensor)]


def mapped(record: Record, function: Callable[[Tensor], Tensor]) -> Record:
    """A dataclass with its tensors replaced by a function of theirs."""
    values = {field.name: getattr(record, field.name) for field in fields(record)}  # type: ignore[arg-type]
    changes = {name: function(value) for name, value in values.items() if isinstance(value, Tensor)}
    return replace(record, **changes)  # type: ignore[type-var]
