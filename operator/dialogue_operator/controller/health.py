"""/livez, /readyz and /metrics on one port, served by the main loop: if it hangs, so do they.

A standby is ready: it has done its checks and hears the Lease.
"""

import asyncio
import time
from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from dialogue_operator.controller.queue import WorkQueue

BEAT_SECONDS = 1.0
LAG_SECONDS = 5.0
OLDEST_KEY_SECONDS = 300.0
NO_PROGRESS_SECONDS = 120.0
LEASE_SILENCE_SECONDS = 30.0


class Pulse:
    """The main loop's heartbeat, read by the elector's thread, and how far it has got."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._beat = self._progress = clock()
        self._lag = 0.0
        self.preflight = "not done"  # what is missing; empty when all is well
        self.leading = False

    async def beat(self) -> None:
        """Beat for ever."""
        while True:
            began = self._clock()
            self._beat = began
            await asyncio.sleep(BEAT_SECONDS)
            self._lag = self._clock() - began - BEAT_SECONDS

    def progress(self) -> None:
        self._progress = self._clock()

    def silence(self) -> float:
        """Seconds since the last heartbeat."""
        return self._clock() - self._beat

    def ailment(self, queue: WorkQueue) -> str:
        """Why this process should be restarted; empty when it should not."""
        if self._lag > LAG_SECONDS:
            return f"the main loop was late by {self._lag:.1f} s"
        if not self.leading:
            return ""
        if queue.oldest_seconds > OLDEST_KEY_SECONDS:
            return f"a key has waited for {queue.oldest_seconds:.0f} s"
        idle = self._clock() - self._progress
        if queue.depth and idle > NO_PROGRESS_SECONDS:
            return f"no worker has finished anything for {idle:.0f} s"
        return ""

    def unready(self, lease_heard: float | None) -> str:
        """Why this process could not lead now; empty when it could."""
        if self.preflight:
            return self.preflight
        if lease_heard is None or lease_heard > LEASE_SILENCE_SECONDS:
            return "nothing heard of the Lease"
        return ""


def health_app(
    pulse: Pulse, queue: WorkQueue, lease_heard: Callable[[], float | None], registry: CollectorRegistry
) -> web.Application:
    async def livez(_: web.Request) -> web.Response:
        return _verdict(pulse.ailment(queue))

    async def readyz(_: web.Request) -> web.Response:
        return _verdict(pulse.unready(lease_heard()))

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app


def _verdict(problem: str) -> web.Response:
    return web.Response(text=problem or "ok", status=503 if problem else 200)
