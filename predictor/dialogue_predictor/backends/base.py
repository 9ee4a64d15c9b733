"""The seam between what a reply is and where it is computed."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.decoding.outcome import Outcome


@dataclass(frozen=True)
class GenerationRequest:
    """Source token ids and options; `deadline` in seconds of the event loop's clock (`loop.time()`).

    `seed` matters to sampling only, and of it the lowest 64 bits. Of those that wait, a greater `priority` goes first,
    and tenants take turns.
    """

    source: tuple[int, ...]
    options: GenerationOptions
    deadline: float | None = None
    seed: int = 0
    priority: int = 0
    tenant: str = ""


@dataclass(frozen=True)
class Part:
    """Tokens that are settled since the part before; the last part, and only it, has the outcome.

    The parts' tokens joined are `outcome.best.tokens`.
    """

    tokens: tuple[int, ...]
    outcome: Outcome | None = None


class Backend(Protocol):
    """Generates replies. Errors of both ways to ask: InvalidRequest, Overloaded, NotReady, DeadlineExceeded,
    BackendFailed. Cancelling the asking task, or closing the stream, ends the work."""

    @property
    def pending_tokens(self) -> int:
        """New tokens at most still owed to the requests that wait or are decoded."""

    async def warm_up(self, options: GenerationOptions) -> None:
        """Does once, before the first request, what the first request would otherwise wait for."""

    async def generate(self, request: GenerationRequest) -> Outcome:
        """The whole outcome at once."""

    def stream(self, request: GenerationRequest) -> AsyncGenerator[Part, None]:
        """The best hypothesis as it settles. Close it (`aclosing`) to end the work before the last part."""

    async def drain(self) -> None:
        """Takes no more requests and returns when those taken are answered."""

    async def close(self) -> None:
        """Takes no more requests, gives up those taken (NotReady), and frees the worker."""


class Observer(Protocol):
    """Told of numbers worth measuring, on the event loop."""

    def queued(self, seconds: float) -> None:
        """How long a request waited until it was admitted."""

    def batched(self, size: int) -> None:
        """How many sources share a step from an admission on, the newcomers included."""

    def failed(self, requests: int) -> None:
        """A fault of the engine failed so many requests."""

    def pending(self, tokens: int) -> None:
        """`pending_tokens` has changed."""


class Unobserved:
    """The observer of nobody."""

    def queued(self, seconds: float) -> None: ...

    def batched(self, size: int) -> None: ...

    def failed(self, requests: int) -> None: ...

    def pending(self, tokens: int) -> None: ...
