"""The elector in its own thread, and the bridge from there to the main loop."""

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Callable

from dialogue_operator.cluster.client import KubeClient, Limits
from dialogue_operator.cluster.credentials import configuration
from dialogue_operator.cluster.errors import NotLeading
from dialogue_operator.cluster.lease import Elector, LeaseName
from dialogue_operator.controller.settings import Settings

log = logging.getLogger(__name__)

LOST_LEADERSHIP = 70  # exit status


def end_process(reason: str) -> None:
    """At once and without goodbyes: another process may already lead."""
    log.critical("leadership lost, ending: %s", reason)
    sys.stderr.flush()
    os._exit(LOST_LEADERSHIP)


class Candidate:
    """`leading` is set in the main loop when this process has become the leader."""

    def __init__(
        self, settings: Settings, silence: Callable[[], float], fence: Callable[[str], None] = end_process
    ) -> None:
        self._settings, self._silence, self._fence = settings, silence, fence
        self._main = asyncio.get_running_loop()
        self.leading = asyncio.Event()
        self._elector: Elector | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="elector", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def require_leading(self) -> None:
        """Raises NotLeading where a write could be one too many."""
        if self._elector is None:
            raise NotLeading("write", 0, "the elector has not started")
        self._elector.require_leading()

    def heard_seconds(self) -> float | None:
        return self._elector.heard_seconds if self._elector else None

    async def stop(self) -> None:
        """Hand the Lease over, and wait until that is done or has failed."""
        if self._loop and self._elector and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._elector.stop)
            await self._over.wait()

    def _run(self) -> None:
        try:
            asyncio.run(self._elect())
        except BaseException as error:
            self._fence(f"the elector failed: {error!r}")
        finally:
            self._main.call_soon_threadsafe(self._over.set)

    async def _elect(self) -> None:
        timing, settings = self._settings.lease_timing, self._settings
        config = await configuration(settings.kubeconfig)
        # No retries inside a call: the elector's own rhythm is the retry.
        client = KubeClient(config, Limits(connect=timing.call, total=timing.call, retry=0.0))
        elector = Elector(
            client,
            LeaseName(settings.lease_namespace, settings.lease_name, settings.identity),
            timing,
            clock=time.monotonic,
            silence=self._silence,
            fence=self._fence,
            on_leading=lambda: self._tell(),
        )
        self._loop, self._elector = asyncio.get_running_loop(), elector
        try:
            await elector.run()
        finally:
            await client.close()

    def _tell(self) -> None:
        self._main.call_soon_threadsafe(self.leading.set)
