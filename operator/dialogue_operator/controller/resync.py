"""What happens without events, at the start and every few minutes: read everything once, look at every model.

Each model gets one look at the snapshot, unless something newer was heard of it since the reading began: then, and
wherever there is something to write, the look is live. An event about a version that the snapshot holds is no news:
without that, the listings with which watches begin would have every model read anew.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

from dialogue_operator.cluster.client import KubeClient
from dialogue_operator.cluster.errors import ApiError
from dialogue_operator.cluster.resources import DIALOGUE_MODEL, Resource
from dialogue_operator.cluster.snapshot import Place, Snapshot, WriteWanted
from dialogue_operator.controller.queue import Key, WorkQueue
from dialogue_operator.controller.telemetry import Metrics

log = logging.getLogger(__name__)

Reconcile = Callable[[Key], Awaitable[float | None]]
RETRY_SECONDS = 5.0
SNAPSHOT_SECONDS = 30.0  # from then on, looks are live


class Resync:
    """`over(snapshot)` gives a reconcile that reads from the snapshot, `live` one that reads from the API server."""

    def __init__(
        self,
        client: KubeClient,
        queue: WorkQueue,
        namespaces: Sequence[str],
        live: Reconcile,
        over: Callable[[Snapshot], Reconcile],
        metrics: Metrics,
    ) -> None:
        self._client, self._queue, self._namespaces, self._metrics = client, queue, tuple(namespaces), metrics
        self._live, self._over = live, over
        self._look: Reconcile | None = None
        self._seen: Mapping[tuple[Resource, Place], str] = {}
        self._outdated: set[Key] = set()  # no look at the snapshot for these
        self.first = asyncio.Event()  # set after the first attempt

    async def run(self, every_seconds: float) -> None:
        """At once and then every so often, for ever."""
        while True:
            try:
                await self._once()
            except ApiError as error:
                log.warning("resync: %s", error)
                wait = RETRY_SECONDS
            else:
                self._metrics.resync.set(time.time())
                wait = every_seconds * random.uniform(0.9, 1.1)
            self.first.set()
            await asyncio.sleep(min(wait, SNAPSHOT_SECONDS))
            self._look = None
            await asyncio.sleep(max(0.0, wait - SNAPSHOT_SECONDS))

    async def __call__(self, key: Key) -> float | None:
        """Reconcile: one look at the snapshot where that is enough."""
        look = None if key in self._outdated else self._look
        self._outdated.add(key)
        if look:
            with suppress(WriteWanted):
                return await look(key)
        return await self._live(key)

    def heard(self, key: Key, resource: Resource, place: Place, version: str) -> None:
        """An object of this model has changed, or a watch began with it. Deleted ones have no version."""
        if version and self._seen.get((resource, place)) == version:
            return
        self._outdated.add(key)
        self._queue.add(key)

    async def _once(self) -> None:
        """One kind that cannot be read must not keep the models from being looked at, one by one."""
        self._look = None
        self._outdated = set(self._queue.running)
        try:
            snapshot = await Snapshot.take(self._client, self._namespaces)
        except ApiError as error:
            log.warning("no snapshot, reading each model: %s", error)
            for namespace in self._namespaces or ("",):
                for item in await self._client.list(DIALOGUE_MODEL, namespace):
                    self._queue.add((item["metadata"]["namespace"], item["metadata"]["name"]))
            return
        self._look, self._seen = self._over(snapshot), snapshot.versions
        for key in snapshot.models:
            self._queue.add(key)
