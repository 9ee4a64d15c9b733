"""One request on its way: through the waiting room and a lane, with a mailbox for what comes back.

All methods but `late` belong to the event loop; workers only read.
"""

import asyncio

from dialogue_predictor.backends.base import GenerationRequest, Part
from dialogue_predictor.errors import DeadlineExceeded, RequestError


class Job:
    """`over` is set once nobody waits for more: answered, failed, cancelled or late."""

    def __init__(self, request: GenerationRequest, *, watched: bool, since: float) -> None:
        self.request = request
        self.watched = watched
        self.since = since
        self.over = False
        self._mailbox: asyncio.Queue[Part | RequestError] = asyncio.Queue()

    def late(self, now: float) -> bool:
        return self.request.deadline is not None and now >= self.request.deadline

    def send(self, part: Part) -> None:
        if not self.over:
            self.over = part.outcome is not None
            self._mailbox.put_nowait(part)

    def fail(self, error: RequestError) -> None:
        """Does nothing for a job that is over."""
        if not self.over:
            self.over = True
            self._mailbox.put_nowait(error)

    async def receive(self) -> Part:
        """The next part; raises the error the job failed with, or DeadlineExceeded."""
        try:
            async with asyncio.timeout_at(self.request.deadline):
                news = await self._mailbox.get()
        except TimeoutError:
            raise DeadlineExceeded from None
        if isinstance(news, RequestError):
            raise news
        return news
