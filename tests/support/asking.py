"""Requests in the background, and an observer that remembers faults too."""

import asyncio

from dialogue_predictor.backends.base import GenerationRequest
from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.decoding.outcome import Outcome
from support.by_hand import ByHand, settle
from support.gated_model import Measured

GREEDY = GenerationOptions(num_beams=1, max_new_tokens=20, no_repeat_ngram=0)
BEAMS = GenerationOptions(num_beams=2, max_new_tokens=20, no_repeat_ngram=0)


class Counting(Measured):
    def __init__(self) -> None:
        super().__init__()
        self.faults: list[int] = []

    def failed(self, requests: int) -> None:
        self.faults.append(requests)


class Asking:
    """Requests in the background, each with its own words: `word` repeated `length` times."""

    def __init__(self, backend: ByHand) -> None:
        self._backend = backend
        self.tasks: dict[int, asyncio.Task[Outcome]] = {}

    async def ask(
        self,
        word: int,
        length: int = 8,
        options: GenerationOptions = GREEDY,
        deadline: float | None = None,
        tenant: str = "",
    ) -> None:
        request = GenerationRequest((word,) * length, options, deadline, tenant=tenant)
        self.tasks[word] = asyncio.create_task(self._backend.generate(request))
        await settle()

    async def ends(self, *words: int) -> list[tuple[int, ...] | type[BaseException]]:
        found = await asyncio.gather(*(self.tasks[word] for word in words), return_exceptions=True)
        return [end.best.tokens if isinstance(end, Outcome) else type(end) for end in found]
