"""The work queue: keys, not events. Twice the same key is one piece of work, and no key is worked on twice at once.

Single loop, no locks: nothing between two awaits can be interrupted.
"""

import asyncio
import heapq
import itertools
import random
from collections.abc import Awaitable, Callable

Key = tuple[str, str]  # (namespace, name)

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 300.0


async def wait_until(changed: asyncio.Event, seconds: float | None) -> None:
    """Until something changed, or for so long; None is without end."""
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        return


class WorkQueue:
    """Keys come out in the order in which they fell due: a key that rings all day waits behind all others.

    Of keys whose last attempt failed, at most `most_failing` are at work at once: attempts that hang would otherwise
    take all workers from the healthy ones.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        wait: Callable[[asyncio.Event, float | None], Awaitable[None]] = wait_until,
        jitter: Callable[[], float] = lambda: random.uniform(0.8, 1.2),
        most_failing: int = 5,
    ) -> None:
        self._clock, self._wait, self._jitter, self._most_failing = clock, wait, jitter, most_failing
        self._heap: list[tuple[float, int, Key]] = []
        self._due: dict[Key, float] = {}  # entries of the heap that differ from it are stale
        self._count = itertools.count()
        self._running: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._changed = asyncio.Event()
        self._closed = False

    def add(self, key: Key, delay: float = 0.0) -> None:
        """Work on it in `delay` seconds, or earlier if that was asked before."""
        due = self._clock() + delay
        if key in self._due and self._due[key] <= due:
            return
        self._due[key] = due
        heapq.heappush(self._heap, (due, next(self._count), key))
        self._changed.set()

    def retry(self, key: Key) -> float:
        """Work on it again after 0.5, 1, 2, … up to 300 seconds, each time it fails in a row. Returns the delay."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** min(failures, 32)) * self._jitter()
        self.add(key, delay)
        return delay

    def succeeded(self, key: Key) -> None:
        self._failures.pop(key, None)

    async def get(self) -> Key | None:
        """The next key that is due and that nobody works on; None after `close`. Call `done` when the work is over."""
        while not self._closed:
            if (key := self._take()) is not None:
                self._running.add(key)
                return key
            self._changed.clear()
            await self._wait(self._changed, self._seconds_to_next())
        return None

    def close(self) -> None:
        """Hand out no more keys; whoever waits for one is sent home."""
        self._closed = True
        self._changed.set()

    def done(self, key: Key) -> None:
        self._running.discard(key)
        self._changed.set()

    @property
    def running(self) -> frozenset[Key]:
        """Keys at work."""
        return frozenset(self._running)

    @property
    def depth(self) -> int:
        """Keys that are due and wait."""
        now = self._clock()
        return sum(due <= now for due in self._due.values())

    @property
    def oldest_seconds(self) -> float:
        """How long the longest waiting key has been due; those that fail may have to wait for each other."""
        now = self._clock()
        return max(0.0, now - min((due for key, due in self._due.items() if key not in self._failures), default=now))

    def _take(self) -> Key | None:
        now, busy = self._clock(), []
        found = None
        while self._heap and self._heap[0][0] <= now:
            entry = heapq.heappop(self._heap)
            due, _, key = entry
            if self._due.get(key) != due:
                continue
            if self._must_wait(key):
                busy.append(entry)
                continue
            del self._due[key]
            found = key
            break
        for entry in busy:
            heapq.heappush(self._heap, entry)
        return found

    def _must_wait(self, key: Key) -> bool:
        """Until some other key is done."""
        crowded = len(self._running & self._failures.keys()) >= self._most_failing
        return key in self._running or (crowded and key in self._failures)

    def _seconds_to_next(self) -> float | None:
        """Until the first key that need not wait for another falls due; keys at work announce themselves by `done`."""
        now = self._clock()
        waits = [due - now for key, due in self._due.items() if not self._must_wait(key)]
        return max(0.0, min(waits)) if waits else None
