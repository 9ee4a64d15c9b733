"""Leadership by a Lease, written so that two leaders at once need more than one fault.

The elector runs in its own thread with its own connections, so that a busy or dead main loop neither delays a renewal
nor hides behind one: it renews only while the main loop's heartbeat is fresh. Whoever cannot renew in time does not
try to stop politely; `fence` ends the process. Remote expiry is judged by how long the Lease has not changed here, on
a monotonic clock: no two machines need to agree on the time.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from dialogue_operator.api.base import Json
from dialogue_operator.cluster.client import KubeClient
from dialogue_operator.cluster.errors import AlreadyExists, ApiError, Conflict, NotLeading
from dialogue_operator.cluster.resources import LEASE

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LeaseTiming:
    """Seconds. `duration` > `deadline` > `retry` + `call`; a main loop silent for `silence` does not lead."""

    duration: float = 15.0
    deadline: float = 10.0
    retry: float = 2.0
    call: float = 3.0
    silence: float = 5.0


@dataclass(frozen=True)
class LeaseName:
    namespace: str
    name: str
    identity: str  # who we are: unique to this process


class Elector:
    """One candidate. `silence()` is the age of the main loop's last heartbeat; `fence(reason)` must not return."""

    def __init__(
        self,
        client: KubeClient,
        who: LeaseName,
        timing: LeaseTiming,
        *,
        clock: Callable[[], float],
        silence: Callable[[], float],
        fence: Callable[[str], None],
        on_leading: Callable[[], None],
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client, self._who, self._timing = client, who, timing
        self._clock, self._silence, self._wall = clock, silence, wall
        self._fence, self._on_leading = fence, on_leading
        self._leading, self._renewed = False, 0.0
        self._lease: Json = {}
        self._seen: tuple[object, ...] = ()
        self._seen_at = clock()
        self._heard_at: float | None = None
        self._stop = asyncio.Event()

    @property
    def heard_seconds(self) -> float | None:
        """Age of the last answer about the Lease; None before the first."""
        return None if self._heard_at is None else self._clock() - self._heard_at

    def require_leading(self) -> None:
        """Raises NotLeading once another process may hold the Lease; asked before every write, from any thread."""
        if not self._leading or self._clock() >= self._renewed + self._timing.deadline:
            raise NotLeading("write", 0, "this process does not hold the Lease")

    async def run(self) -> None:
        """Compete, renew, and on `stop` hand over. Returns only then, or when `fence` does."""
        while not self._stop.is_set():
            try:
                async with asyncio.timeout(self._timing.call):
                    await (self._renew() if self._leading else self._compete())
            except Exception as error:
                log.warning("lease: %s", str(error) or type(error).__name__)
            if self._leading and self._clock() >= self._renewed + self._timing.deadline:
                return self._lose("not renewed in time")
            await self._pause()
        if self._leading:
            await self._release()
        return None

    def stop(self) -> None:
        """Call it in the elector's own loop."""
        self._stop.set()

    async def _pause(self) -> None:
        wait = self._timing.retry * random.uniform(1.0, 1.2)
        if self._leading:
            wait = min(wait, max(0.0, self._renewed + self._timing.deadline - self._clock()))
        try:
            async with asyncio.timeout(wait):
                await self._stop.wait()
        except TimeoutError:
            return

    def _lose(self, reason: str) -> None:
        self._leading = False
        self._fence(reason)

    async def _compete(self) -> None:
        lease = await self._client.find(LEASE, self._who.namespace, self._who.name)
        self._heard_at = self._clock()
        if lease is None:
            await self._take(None)
            return
        spec = lease.get("spec") or {}
        seen = (spec.get("holderIdentity"), spec.get("renewTime"), lease["metadata"]["resourceVersion"])
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._clock()
        held_for = float(spec.get("leaseDurationSeconds") or self._timing.duration)
        free = spec.get("holderIdentity") in {None, "", self._who.identity}  # ours: a call that got through unheard
        if free or self._clock() >= self._seen_at + held_for:
            await self._take(lease)

    async def _take(self, lease: Json | None) -> None:
        """Another candidate may be faster: then the server says AlreadyExists or Conflict, and nothing has happened."""
        before = (lease or {}).get("spec") or {}
        transitions = before.get("leaseTransitions", 0) + 1 if lease else 0
        spec = {**self._spec(), "acquireTime": self._now(), "leaseTransitions": transitions}
        began = self._clock()
        try:
            if lease is None:
                meta = {"namespace": self._who.namespace, "name": self._who.name}
                head = {"apiVersion": LEASE.api_version, "kind": LEASE.kind}
                taken = await self._client.create({**head, "metadata": meta, "spec": spec})
            else:
                taken = await self._client.replace({**lease, "spec": spec})
        except (AlreadyExists, Conflict):
            return
        self._lease, self._renewed, self._leading = taken, began, True
        log.info("lease: %s leads", self._who.identity)
        self._on_leading()

    async def _renew(self) -> None:
        if self._silence() > self._timing.silence:
            raise NotLeading("renew", 0, f"the main loop has been silent for {self._silence():.0f} s")
        began = self._clock()
        try:
            lease = {**self._lease, "spec": {**self._lease["spec"], **self._spec()}}
            self._lease = await self._client.replace(lease)
        except Conflict:  # an unheard renewal of our own, or somebody else's hand
            self._lease = await self._client.get(LEASE, self._who.namespace, self._who.name)
            if (self._lease.get("spec") or {}).get("holderIdentity") != self._who.identity:
                self._lose("somebody else holds the Lease")
            return
        self._renewed = self._heard_at = began

    async def _release(self) -> None:
        """Best effort: without it the next leader waits until the Lease runs out."""
        self._leading = False
        spec = {**self._lease["spec"], **self._spec(), "holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            async with asyncio.timeout(self._timing.call):
                await self._client.replace({**self._lease, "spec": spec})
            log.info("lease: released")
        except (ApiError, TimeoutError) as error:
            log.warning("lease: not released: %s", error)

    def _spec(self) -> Json:
        seconds = max(1, round(self._timing.duration))
        return {"holderIdentity": self._who.identity, "leaseDurationSeconds": seconds, "renewTime": self._now()}

    def _now(self) -> str:
        return self._wall().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
