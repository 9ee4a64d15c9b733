"""An event loop whose clock stands still, and an embedded backend whose workers go round only when a test lets them."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from dialogue_predictor.backends.embedded import EmbeddedBackend
from dialogue_predictor.backends.limits import Limits
from support.echo_model import IDS, VOCABULARY, EchoModel, EchoState

LIMITS = Limits(vocab_size=VOCABULARY, max_positions=256)
SETTLING = 4  # turns of the loop until what is ready has run


class StillClock(asyncio.SelectorEventLoop):
    now = 0.0

    def time(self) -> float:
        return self.now


def run(story: Callable[[StillClock], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=StillClock) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, StillClock)
        runner.run(story(loop))


async def settle() -> None:
    for _ in range(SETTLING):
        await asyncio.sleep(0)


class ByHand(EmbeddedBackend[EchoState]):
    """No thread runs: `round` is one round of a worker, here and now."""

    def __init__(self, model: EchoModel, **how: Any) -> None:
        super().__init__(model, IDS, LIMITS, **how)
        self._numbers = range(len(self._workers))

    def _rouse(self) -> None:
        return None

    async def round(self, worker: int = 0) -> bool:
        busy = self._workers[worker].round(asyncio.get_running_loop().time(), self._deliver)
        await settle()
        return busy

    async def rounds(self) -> None:
        """Until no worker has anything to do."""
        while any([await self.round(worker) for worker in self._numbers]):
            pass

    @property
    def decoding(self) -> int:
        """The places that are not free."""
        return sum(len(worker._jobs) for worker in self._workers)

    @property
    def waiting(self) -> int:
        return len(self._room._order)
