"""Who claims which host at our gateway, over all namespaces.

A route that was there first keeps its host. The survey is one list a kind, shared by all keys: every reconcile asks,
and the answer seldom changes. Whoever is about to make a route gets a fresher one, and after that it is taken anew.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dialogue_operator.api.base import Json
from dialogue_operator.cluster.client import KubeClient
from dialogue_operator.cluster.resources import HTTP_ROUTE, ROUTES, Resource, controller_uid
from dialogue_operator.render.routes import GatewayRef

MAX_AGE_SECONDS = 2.0
FRESH_SECONDS = 0.25


@dataclass(frozen=True, order=True)
class Claim:
    """One route's claim on one host. The order is that of age: the least claim is the one that counts."""

    created: str
    namespace: str
    name: str
    kind: str
    owner: str  # uid of the controlling object, or empty

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


def attaches_to(route: Json, gateway: GatewayRef) -> bool:
    """Some parent reference names our gateway; a reference without a namespace means the route's own."""
    home = route["metadata"]["namespace"]
    return any(is_gateway(parent, gateway, home) for parent in route["spec"].get("parentRefs", []))


def is_gateway(parent: Json, gateway: GatewayRef, home: str) -> bool:
    named = (parent.get("kind", "Gateway"), parent["name"], parent.get("namespace", home))
    return named == ("Gateway", gateway.name, gateway.namespace)


def claim_of(route: Json, kind: str) -> Claim:
    meta = route["metadata"]
    return Claim(meta.get("creationTimestamp", ""), meta["namespace"], meta["name"], kind, controller_uid(route) or "")


class HostSurvey:
    def __init__(
        self, client: KubeClient, gateway: GatewayRef, namespaces: Sequence[str], clock: Callable[[], float]
    ) -> None:
        self._client, self._gateway, self._clock = client, gateway, clock
        self._namespaces = tuple(namespaces) or ("",)
        self._claims: dict[str, list[Claim]] = {}
        self._taken_at: float | None = None
        self._lock = asyncio.Lock()

    async def rival(self, uid: str, hosts: dict[str, Claim | None]) -> str:
        """The first other route that holds one of `hosts` (host → our own claim, if it was made); empty if there is none."""
        max_age = FRESH_SECONDS if None in hosts.values() else MAX_AGE_SECONDS
        async with self._lock:
            if self._taken_at is None or self._clock() - self._taken_at > max_age:
                self._claims, self._taken_at = await self._survey(), self._clock()
        for host, ours in hosts.items():
            others = [claim for claim in self._claims.get(host, []) if claim.owner != uid]
            if others and (ours is None or min(others) < ours):
                return f"{min(others)}"
        return ""

    def forget(self) -> None:
        """A route of ours was made: somebody else may have made one at the same moment."""
        self._taken_at = None

    async def _survey(self) -> dict[str, list[Claim]]:
        asked = [(resource, namespace) for resource in ROUTES for namespace in self._namespaces]
        found = await asyncio.gather(*(self._client.list(resource, namespace) for resource, namespace in asked))
        claims: dict[str, list[Claim]] = {}
        for (resource, _), routes in zip(asked, found, strict=True):
            for route in routes:
                if attaches_to(route, self._gateway):
                    for host in route["spec"].get("hostnames", []):
                        claims.setdefault(host, []).append(claim_of(route, resource.kind))
        return claims


def host_of(resource: Resource, http: str, grpc: str) -> str:
    return http if resource is HTTP_ROUTE else grpc
