"""kopf as a doorbell and nothing more: every event is one `ring`, here and nowhere else.

`on.event` alone: no finalizers, no annotations, no timers, no daemons. An annotation on an InferenceService would be
copied into its pods and restart them. A handler cannot fail, for kopf would not try it again.
"""

import logging
import random
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import kopf

from dialogue_operator import names
from dialogue_operator.cluster.client import PAGE
from dialogue_operator.cluster.credentials import Credentials
from dialogue_operator.cluster.resources import CHILDREN, DIALOGUE_MODEL, Resource
from dialogue_operator.controller.queue import Key

LOGIN_MINUTES = 10  # kopf reads tokens again only when they expire
OURS = f"{names.LABEL_MANAGED_BY}={names.FIELD_MANAGER}"

Ring = Callable[[Key, Resource, tuple[str, str], str], None]  # whose, and what: kind, (namespace, name), version
Login = Callable[[], Awaitable[Credentials]]


class Backoffs:
    """Seconds between tries of one request: a run of growing waits, then steady ones, ±20 %, for `total` seconds.

    kopf's own default gives up after 54 s of an unwell API server and ends the process.
    """

    def __init__(self, first: tuple[float, ...], then: float, total: float) -> None:
        self._first, self._then, self._total = first, then, total

    def __iter__(self) -> Iterator[float]:
        spent, waits = 0.0, iter(self._first)
        while spent < self._total:
            wait = next(waits, self._then)
            spent += wait
            yield wait * random.uniform(0.8, 1.2)


def kopf_settings() -> Any:
    """Each of these has cost somebody an outage; none is a matter of taste."""
    s = kopf.OperatorSettings()
    s.scanning.disabled = True  # no watch of CRDs and namespaces; the preflight knows what is served
    s.peering.standalone = True  # the Lease, not kopf's peering
    s.watching.server_timeout = 290  # an int: it is sent as it is written
    s.watching.client_timeout = 320
    s.watching.connect_timeout = 5
    s.watching.inactivity_timeout = 70
    s.watching.reconnect_backoff = 1.0
    s.watching.chunk_size = PAGE  # or each kind is in memory as a whole, and all kinds at the same time
    for child in CHILDREN:
        s.watching.label_selectors[child.group, child.version, child.plural] = OURS
    s.networking.connect_timeout = 5
    s.networking.request_timeout = 30
    s.networking.error_backoffs = Backoffs((1, 2, 3, 5, 8, 13, 21), then=30, total=600)
    s.networking.enforce_retry_after = True
    s.queueing.worker_limit = None
    s.queueing.exit_timeout = 1
    s.queueing.idle_timeout = 0.2  # for so long each object that was heard of stays in memory, and a task with it
    s.posting.enabled = False
    s.posting.loggers = False
    s.posting.level = logging.WARNING
    s.execution.max_workers = 4
    s.process.ultimate_exiting_timeout = 25
    return s


def doorbells(ring: Ring, login: Login) -> Any:
    """A kopf registry whose handlers only ring."""
    registry = kopf.OperatorRegistry()

    async def enter(**_: Any) -> Any:
        found = await login()
        return kopf.ConnectionInfo(
            server=found.server,
            ca_path=found.ca_path,
            token=found.token,
            certificate_path=found.certificate_path,
            private_key_path=found.private_key_path,
            insecure=found.insecure,
            priority=100,
            expiration=datetime.now(UTC) + timedelta(minutes=LOGIN_MINUTES),
        )

    def bell(resource: Resource) -> Callable[..., Awaitable[None]]:
        async def handler(
            event: dict[str, Any], name: str, namespace: str, labels: dict[str, str], meta: dict[str, Any], **_: Any
        ) -> None:
            owner = name if resource is DIALOGUE_MODEL else labels.get(names.LABEL_MODEL)
            if owner:
                version = "" if event["type"] == "DELETED" else str(meta.get("resourceVersion", ""))
                ring((namespace, owner), resource, (namespace, name), version)

        return handler

    kopf.on.login(registry=registry)(enter)
    for resource in (DIALOGUE_MODEL, *CHILDREN):
        kopf.on.event(resource.group, resource.version, resource.plural, registry=registry)(bell(resource))
    return registry
