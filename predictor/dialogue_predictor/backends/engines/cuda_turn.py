"""Turns of the search between buffers that never move, so that a CUDA graph can repeat them.

A graph repeats kernels on fixed addresses. So each shape of batch has a state and beams of its own that a turn reads
and then overwrites; what comes from elsewhere, after sources joined or left, is copied there first.
"""

import weakref
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from dialogue_predictor.backends.engines.cuda_state import CudaState, mapped, tensors
from dialogue_predictor.decoding.beam import BeamState

Turn = Callable[[CudaState, BeamState], tuple[BeamState, CudaState]]

Work = Callable[[], None]
Recorder = Callable[[Work], Work]  # notes down what work does on the device, without doing it → does the same again

EAGER_TURNS = 2  # before a recording, during which no library may set itself up any more


class GraphRecorder:
    """Records CUDA graphs that share their memory: one of them at a time may run, and all on one thread."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, work: Work) -> Work:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):  # other threads may go on
            work()
        return graph.replay


class StaticTurn:
    """A turn for one shape. Its buffers belong to the state and beams it gave out last, as long as one of them lives."""

    def __init__(self, key: Hashable, turn: Turn, state: CudaState, beams: BeamState) -> None:
        self.key = key
        self._turn = turn
        self._state = replace(mapped(state, fresh), reach=0)
        self._beams = mapped(beams, fresh)
        self._eager_turns = 0
        self._recorded: Work | None = None
        self._given: tuple[weakref.ref[BeamState], weakref.ref[CudaState]] | None = None

    @property
    def buffers(self) -> list[Tensor]:
        return [*tensors(self._state), *tensors(self._beams)]

    @property
    def free(self) -> bool:
        return self._given is None or all(given() is None for given in self._given)

    def gave(self, state: CudaState) -> bool:
        return self._given is not None and self._given[1]() is state

    def take(self, state: CudaState, beams: BeamState, record: Recorder | None) -> tuple[BeamState, CudaState]:
        """One turn of these. Uses up both."""
        if not self.gave(state):
            overwrite(tensors(self._state), tensors(state))
        if self._given is None or self._given[0]() is not beams:
            overwrite(tensors(self._beams), tensors(beams))
        self._run(record)
        # The next state is a new object over the same buffers, so that whoever still has this one is told from it.
        after = replace(self._beams), replace(self._state, reach=state.reach + state.ancestry.shape[1])
        self._given = weakref.ref(after[0]), weakref.ref(after[1])
        return after

    def _run(self, record: Recorder | None) -> None:
        if record is not None and self._recorded is None and self._eager_turns == EAGER_TURNS:
            self._recorded = record(self._step)
        if self._recorded is not None:
            self._recorded()
        else:
            self._eager_turns = min(self._eager_turns + 1, EAGER_TURNS)
            self._step()

    def _step(self) -> None:
        beams, state = self._turn(self._state, self._beams)
        overwrite(self.buffers, [*tensors(state), *tensors(beams)])


class StaticTurns:
    """An engine's turns, the least recently used first; those go that make the buffers larger than allowed."""

    def __init__(self, record: Recorder | None, most_bytes: int) -> None:
        self._record = record
        self._most_bytes = most_bytes
        self._turns: list[StaticTurn] = []

    def __len__(self) -> int:
        return len(self._turns)

    def take(self, key: Hashable, turn: Turn, state: CudaState, beams: BeamState) -> tuple[BeamState, CudaState]:
        """One turn in the buffers that hold the state, or in free ones of its shape."""
        key = (state.sources, state.memory.shape[1], state.slots, key)
        fitting = [kept for kept in self._turns if kept.key == key]
        holding = [kept for kept in fitting if kept.gave(state)] or [kept for kept in fitting if kept.free]
        chosen = holding[0] if holding else StaticTurn(key, turn, state, beams)
        self._turns = [*(kept for kept in self._turns if kept is not chosen), chosen]
        if not holding:
            self._make_room()
        return chosen.take(state, beams, self._record)

    def _make_room(self) -> None:
        """Forgets what is not in use, but for the newest."""
        sizes = {id(kept): sum(buffer.nbytes for buffer in kept.buffers) for kept in self._turns}
        total = sum(sizes.values())
        for kept in self._turns[:-1]:
            if total > self._most_bytes and kept.free:
                self._turns.remove(kept)
                total -= sizes[id(kept)]


def fresh(values: Tensor) -> Tensor:
    return torch.empty_like(values, memory_format=torch.contiguous_format)


def overwrite(buffers: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Copies what is not there already, with one kernel for all tensors of a type."""
    copied: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = {}
    for buffer, value in zip(buffers, values, strict=True):
        if value is not buffer:
            old, new = copied.setdefault(buffer.dtype, ([], []))
            old.append(buffer)
            new.append(value)
    for old, new in copied.values():
        torch._foreach_copy_(old, new)
