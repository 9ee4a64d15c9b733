"""A token bucket: a burst at once, then a steady rate. Callers queue in the order in which they came."""

import asyncio
from collections.abc import Awaitable, Callable


class TokenBucket:
    def __init__(
        self,
        per_second: float,
        burst: float,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rate, self._burst, self._clock, self._sleep = per_second, burst, clock, sleep
        self._tokens, self._at = burst, clock()

    async def take(self) -> None:
        """Wait for one token. The count may go below zero: that is the queue."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate) - 1
        self._at = now
        if self._tokens < 0:
            await self._sleep(-self._tokens / self._rate)
