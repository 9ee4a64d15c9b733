"""One reading of everything, at one time for all models, in place of five readings for each of them.

It is a client that answers from memory and cannot write. A pass over a world at rest needs no more than that; whoever
finds something to write gets `WriteWanted`, and does it again on what is there now. Nothing is ever written from here.

Objects are kept as text, a fifth of what they take as dicts.
"""

import json
from collections.abc import Mapping, Sequence

from dialogue_operator import names
from dialogue_operator.api.base import Json
from dialogue_operator.cluster.client import READS, KubeClient
from dialogue_operator.cluster.errors import NotFound
from dialogue_operator.cluster.hosts import HostSurvey
from dialogue_operator.cluster.resources import (
    AUTOSCALER,
    BUDGET,
    DEPLOYMENT,
    DIALOGUE_MODEL,
    HTTP_SCALED_OBJECT,
    INFERENCE_SERVICE,
    ROUTES,
    SCALED_OBJECT,
    SERVING_RUNTIME,
    Resource,
)
from dialogue_operator.render.routes import GatewayRef

OURS = {names.LABEL_MANAGED_BY: names.FIELD_MANAGER}
OPTIONAL = (SCALED_OBJECT, HTTP_SCALED_OBJECT)  # not every cluster serves them
HELD: Mapping[Resource, Mapping[str, str]] = {
    DIALOGUE_MODEL: {},
    **dict.fromkeys((INFERENCE_SERVICE, SERVING_RUNTIME, DEPLOYMENT, AUTOSCALER, BUDGET, *OPTIONAL), OURS),
    **{route: {} for route in ROUTES},  # those of others, too: they may hold our hosts
}
NOT_READ = "kubectl.kubernetes.io/last-applied-configuration"

Place = tuple[str, str]  # (namespace, name)


class WriteWanted(Exception):
    """Somebody wanted to write while looking at a snapshot."""


class Snapshot(KubeClient):
    """Reads of the kinds it holds come from memory, all others go to the API server."""

    def __init__(self, live: KubeClient) -> None:
        self._live = live
        self._objects: dict[Resource, dict[Place, bytes]] = {}
        self._of_model: dict[tuple[Resource, Place], list[Place]] = {}
        self.versions: dict[tuple[Resource, Place], str] = {}  # of every object that it has seen

    @classmethod
    async def take(cls, live: KubeClient, namespaces: Sequence[str]) -> "Snapshot":
        """Read every kind once, in these namespaces or in all. Raises ApiError."""
        snapshot = cls(live)
        for resource, selector in HELD.items():
            try:
                await snapshot._read(resource, selector, namespaces or ("",))
            except NotFound:
                if resource not in OPTIONAL:
                    raise
        return snapshot

    async def _read(self, resource: Resource, selector: Mapping[str, str], namespaces: Sequence[str]) -> None:
        found: dict[Place, bytes] = {}
        for namespace in namespaces:
            async for page in self._live.pages(resource, namespace, selector):
                for item in page:
                    place = self._noted(resource, item)
                    found[place] = json.dumps(item, separators=(",", ":")).encode()
        self._objects[resource] = found

    def _noted(self, resource: Resource, item: Json) -> Place:
        """Note where it stands, and drop what nobody reads."""
        metadata = item["metadata"]
        place = (metadata["namespace"], metadata["name"])
        metadata.pop("managedFields", None)
        metadata.get("annotations", {}).pop(NOT_READ, None)
        self.versions[resource, place] = metadata["resourceVersion"]
        if model := metadata.get("labels", {}).get(names.LABEL_MODEL):
            self._of_model.setdefault((resource, (place[0], model)), []).append(place)
        return place

    @property
    def models(self) -> tuple[Place, ...]:
        return tuple(self._objects[DIALOGUE_MODEL])

    def survey(self, gateway: GatewayRef, namespaces: Sequence[str]) -> HostSurvey:
        """Who claimed which host at that time."""
        return HostSurvey(self, gateway, namespaces, clock=lambda: 0.0)

    async def get(self, resource: Resource, namespace: str, name: str) -> Json:
        if resource not in self._objects:
            return await self._live.get(resource, namespace, name)
        if (text := self._objects[resource].get((namespace, name))) is None:
            raise NotFound(f"GET {resource.path(namespace, name)}", 404, "not in the snapshot")
        found: Json = json.loads(text)
        return found

    async def list(
        self, resource: Resource, namespace: str = "", selector: Mapping[str, str] | None = None, fields: str = ""
    ) -> list[Json]:
        if resource not in self._objects or fields or not HELD[resource].items() <= (selector or {}).items():
            return await self._live.list(resource, namespace, selector, fields)
        wanted = selector or {}
        if model := wanted.get(names.LABEL_MODEL):
            places = self._of_model.get((resource, (namespace, model)), [])
        else:
            places = [place for place in self._objects[resource] if namespace in ("", place[0])]
        items: list[Json] = [json.loads(self._objects[resource][place]) for place in places]
        return [item for item in items if wanted.items() <= item["metadata"].get("labels", {}).items()]

    async def _call(
        self,
        verb: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content: str = "",
    ) -> Json:
        if verb in READS:
            return await self._live._call(verb, path, query, body)
        raise WriteWanted(f"{verb} {path}")
