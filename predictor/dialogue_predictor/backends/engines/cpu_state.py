"""What sources on a CPU know of their past, and how they come, move and leave in memory that stays where it is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from dialogue_predictor.backends.engines.pointing import Pointable, joined
from dialogue_predictor.backends.engines.room import Pool, Room

STEPS_OF_ROOM = 4
UNSEEN = float("-inf")


@dataclass(frozen=True)
class CpuState:
    """What B sources of K beams each know of their past, in L layers of H heads of width W.

    M of the layers have parameters of their own. The rooms have R rows, of which the first B are in use. A slot holds
    the keys and values of one beam's token and stays where it was written; a beam sees the slots that it descends from.
    The rooms are shared between a state and its successor: only the latest may be used.
    """

    memory: Room  # [M, R, H, W, S] and [M, R, H, S, W]
    memory_bias: Tensor | None  # [B, S], 0 on real tokens and -inf on padding; None without padding
    pointable: Pointable | None  # where there is a copy head
    past: Room  # [L, R, H, capacity, W] twice
    bias: Tensor  # [B, K, slots], 0 where the beam descends from the slot and -inf elsewhere
    lengths: Tensor  # [B], tokens already decoded

    @property
    def sources(self) -> int:
        return len(self.lengths)

    @property
    def beams(self) -> int:
        return self.bias.shape[1]

    @property
    def slots(self) -> int:
        return self.bias.shape[2]

    @property
    def length(self) -> int:
        return self.memory.keys.shape[4]

    @property
    def capacity(self) -> int:
        return self.past.keys.shape[3]

    @property
    def source_bias(self) -> Tensor:
        if self.memory_bias is not None:
            return self.memory_bias
        return self.bias.new_zeros(self.sources, self.length)


class Rooms:
    """Changes of states that need other rooms, or another order in theirs. All of them use the old state up.

    Nothing that a step looks at may be no number, not even under a bias of -inf: what is not written is set to zero.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def with_slots(self, state: CpuState, beams: int) -> CpuState:
        """The state with room for one more step.

        Slots that no beam descends from are given up first, in place: beams share most of their past, so that little
        more than one beam's length stays. Only where that is not enough is the room made larger.
        """
        if state.slots + beams <= state.capacity:
            return state
        alive = (state.bias == 0.0).any(dim=1)  # [B, slots]
        kept = int(alive.sum(dim=1).max()) if state.slots else 0
        order = alive.int().argsort(dim=1, descending=True, stable=True)[:, :kept]  # [B, kept]
        chosen = order[:, None, :, None]  # [B, 1, kept, 1]
        for layer in state.past.layers:
            rows = layer[: state.sources]  # [B, H, capacity, W]
            rows[:, :, :kept] = rows.gather(2, chosen.expand(-1, rows.shape[1], -1, rows.shape[3]))
        state = replace(state, bias=state.bias.gather(2, order[:, None].expand(-1, state.beams, -1)))
        capacity = state.capacity
        if kept + STEPS_OF_ROOM * beams > capacity:
            capacity += capacity // 2
        return self._grown(state, state.sources, state.length, kept, capacity)

    def moved(self, state: CpuState, sources: Tensor, bias: Tensor) -> CpuState:
        """The sources [B'] in this order, in place, with the bias of theirs."""
        count = len(sources)
        state = self._grown(state, count, state.length, state.slots, state.capacity)
        there = (sources != torch.arange(count)).nonzero()[:, 0]
        if len(there):
            here = sources[there]
            for layer in state.memory.layers:
                layer[there] = layer[here]
            for layer in state.past.layers:
                layer[there, :, : state.slots] = layer[here, :, : state.slots]
        return replace(
            state,
            memory_bias=None if state.memory_bias is None else state.memory_bias[sources],
            pointable=None if state.pointable is None else state.pointable.keep(sources),
            bias=bias,
            lengths=state.lengths[sources],
        )

    def joined(self, states: Sequence[CpuState]) -> CpuState:
        """All sources, in order, in the room of the first ones if there is enough of it."""
        first, *others = states
        length, slots = max(each.length for each in states), max(each.slots for each in states)
        total = sum(each.sources for each in states)
        whole = self._grown(first, total, length, slots, max(each.capacity for each in states))
        start = first.sources
        for other in others:
            write(whole, slice(start, start + other.sources), other)
            start += other.sources
        padded = any(each.memory_bias is not None or each.length < length for each in states)
        pointable = [each.pointable for each in states if each.pointable is not None]
        return replace(
            whole,
            memory_bias=torch.cat([widened(each.source_bias, length) for each in states]) if padded else None,
            pointable=joined(pointable, length) if pointable else None,
            bias=torch.cat([widened(each.bias, slots) for each in states]),
            lengths=torch.cat([each.lengths for each in states]),
        )

    def seated(self, state: CpuState, sources: Tensor, newcomers: CpuState) -> CpuState:
        """The newcomers in the places of some sources [N]."""
        length, slots = max(state.length, newcomers.length), max(state.slots, newcomers.slots)
        padded = state.memory_bias is not None or newcomers.memory_bias is not None or state.length != newcomers.length
        bias, source_bias = widened(state.bias, slots), widened(state.source_bias, length)
        state = self._grown(state, state.sources, length, slots, max(state.capacity, newcomers.capacity))
        write(state, sources, newcomers)
        if state.pointable is not None and newcomers.pointable is not None:
            state = replace(state, pointable=state.pointable.seated(sources, newcomers.pointable))
        return replace(
            state,
            memory_bias=source_bias.index_copy(0, sources, widened(newcomers.source_bias, length)) if padded else None,
            bias=bias.index_copy(0, sources, widened(newcomers.bias, slots)),
            lengths=state.lengths.index_copy(0, sources, newcomers.lengths),
        )

    def _grown(self, state: CpuState, rows: int, length: int, seen: int, capacity: int) -> CpuState:
        """Room for so many rows, source positions and slots, zero behind the state's own up to the slot `seen`."""
        memory, past, sources, slots = state.memory, state.past, state.sources, state.slots
        memories, memory_rows, heads, width, _ = memory.keys.shape
        if rows > memory_rows or length > state.length:
            more = spacious(rows, memory_rows)
            memory = self._pool.room((memories, more, heads, width, length), (memories, more, heads, length, width))
            for new, old in ((memory.keys, state.memory.keys), (memory.values.mT, state.memory.values.mT)):
                new[:, :sources, :, :, : state.length] = old[:, :sources]
                new[:, :sources, :, :, state.length :] = 0.0
        layers, past_rows = past.keys.shape[:2]
        if rows > past_rows or capacity > state.capacity:
            shape = layers, spacious(rows, past_rows), heads, capacity, width
            past = self._pool.room(shape, shape)
            for new, old in ((past.keys, state.past.keys), (past.values, state.past.values)):
                new[:, :sources, :, :slots] = old[:, :sources, :, :slots]
        if seen > slots:
            for cached in (past.keys, past.values):
                cached[:, :sources, :, slots:seen] = 0.0
        return replace(state, memory=memory, past=past)


def write(state: CpuState, rows: slice | Tensor, newcomers: CpuState) -> None:
    """The newcomers' keys and values into some rows, where nothing is left of what was there."""
    count, length, slots = newcomers.sources, newcomers.length, newcomers.slots
    for cached, new in (
        (state.memory.keys, newcomers.memory.keys),
        (state.memory.values.mT, newcomers.memory.values.mT),
    ):
        cached[:, rows, :, :, :length] = new[:, :count]
        cached[:, rows, :, :, length:] = 0.0
    seen = max(state.slots, slots)
    for cached, new in ((state.past.keys, newcomers.past.keys), (state.past.values, newcomers.past.values)):
        cached[:, rows, :, :slots] = new[:, :count, :, :slots]
        cached[:, rows, :, slots:seen] = 0.0


def spacious(rows: int, there: int) -> int:
    """How many rows to make for those wanted: half as many again, so that sources that come one by one are not all copied
    each time, but not because of that more than there were."""
    more = rows + rows // 2
    return more if rows > there else min(more, there)


def widened(bias: Tensor, size: int) -> Tensor:
    """The bias with -inf behind it, up to a last dimension of `size`."""
    return functional.pad(bias, (0, size - bias.shape[-1]), value=UNSEEN)
