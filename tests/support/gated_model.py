"""Doubles of what a backend meets: a model that computes only when a test lets it, and a listening observer."""

import asyncio
import threading
from collections.abc import Sequence

from torch import Tensor

from dialogue_predictor.model.incremental import DecoderState
from support.tiny_models import tiny_engine

PATIENCE_SECONDS = 30.0


class GatedModel:
    """A real tiny model that never ends a reply by itself and takes each step, newcomers' first one too, only when it
    is let."""

    def __init__(self) -> None:
        self.engine, self.ids = tiny_engine(1, eos_bias=-50.0)
        self.batches: list[int] = []
        self.steps = 0
        self.failures = 0
        self.poisoned = 0  # steps in which the first source gets scores that are no numbers
        self.began = threading.Event()
        self._allowed = threading.Semaphore(0)

    def allow(self, steps: int) -> None:
        for _ in range(steps):
            self._allowed.release()

    def encode(self, source: Tensor, source_mask: Tensor) -> DecoderState:
        self.batches.append(source.shape[0])
        return self.engine.encode(source, source_mask)

    def step(self, state: DecoderState, tokens: Tensor) -> tuple[Tensor, DecoderState]:
        self.began.set()
        assert self._allowed.acquire(timeout=PATIENCE_SECONDS), "the test forgot to let the model go on"
        self.steps += 1
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the model broke")
        hidden, state = self.engine.step(state, tokens)
        if self.poisoned:
            self.poisoned -= 1
            hidden[0] = float("nan")
        return hidden, state

    def project(self, hidden: Tensor) -> Tensor:
        return self.engine.project(hidden)

    def reorder(self, state: DecoderState, index: Tensor) -> DecoderState:
        return self.engine.reorder(state, index)

    def join(self, states: Sequence[DecoderState]) -> DecoderState:
        return self.engine.join(states)

    async def begun(self) -> None:
        await asyncio.to_thread(self.began.wait, PATIENCE_SECONDS)
        self.began.clear()


class Measured:
    """Remembers what an observer is told."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.sizes: list[int] = []
        self.owed: list[int] = []
        self.faults: list[int] = []

    def queued(self, seconds: float) -> None:
        self.waits.append(seconds)

    def batched(self, size: int) -> None:
        self.sizes.append(size)

    def pending(self, tokens: int) -> None:
        self.owed.append(tokens)

    def failed(self, requests: int) -> None:
        self.faults.append(requests)
