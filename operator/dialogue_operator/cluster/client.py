"""One thin asynchronous client on dicts.

The official client brings authentication, TLS and connections; its models drop fields they do not know, and neither it
nor kopf has server-side apply with the time-outs and retries an operator needs. Every call here ends within its budget
and answers with a dict or an `ApiError`.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from dialogue_operator import names
from dialogue_operator.api.base import Json
from dialogue_operator.cluster.credentials import authorization
from dialogue_operator.cluster.errors import RETRIED, NotFound, Unavailable, api_error
from dialogue_operator.cluster.rate import TokenBucket
from dialogue_operator.cluster.resources import EVENT, Resource, resource_of

APPLY = "application/apply-patch+yaml"  # JSON is YAML
MERGE = "application/merge-patch+json"
PLAIN = "application/json"
PAGE = 200  # objects; a page of InferenceServices is then some 2 MB, and ten times that while it is read
READS = frozenset({"GET"})


@dataclass(frozen=True)
class Limits:
    """How long a call may take, in seconds, and how often we call. Bursts are twice the rate.

    A rollout is some 20 writes: 100 a second are five rollouts, and each costs KServe more than us.
    """

    connect: float = 5.0
    total: float = 15.0
    retry: float = 20.0  # one call with all its tries
    reads_per_second: float = 400.0
    writes_per_second: float = 100.0


class KubeClient:
    """`before_write` may refuse a write by raising; `on_answer(verb, code)` counts, code 0 is no answer."""

    def __init__(
        self,
        config: Configuration,
        limits: Limits = Limits(),
        on_answer: Callable[[str, int], None] = lambda verb, code: None,
        before_write: Callable[[], None] = lambda: None,
    ) -> None:
        self._api, self._limits = ApiClient(config), limits
        self._on_answer, self._before_write = on_answer, before_write
        self._timeout = aiohttp.ClientTimeout(total=limits.total, connect=limits.connect)
        clock = asyncio.get_running_loop().time
        self._reads = TokenBucket(limits.reads_per_second, 2 * limits.reads_per_second, clock)
        self._writes = TokenBucket(limits.writes_per_second, 2 * limits.writes_per_second, clock)

    async def close(self) -> None:
        await self._api.close()

    async def get(self, resource: Resource, namespace: str, name: str) -> Json:
        return await self._call("GET", resource.path(namespace, name))

    async def find(self, resource: Resource, namespace: str, name: str) -> Json | None:
        """The object, or None where it is not there."""
        try:
            return await self.get(resource, namespace, name)
        except NotFound:
            return None

    async def list(
        self, resource: Resource, namespace: str = "", selector: Mapping[str, str] | None = None, fields: str = ""
    ) -> list[Json]:
        """All objects; an empty namespace means all namespaces."""
        return [item async for page in self.pages(resource, namespace, selector, fields) for item in page]

    async def pages(
        self, resource: Resource, namespace: str = "", selector: Mapping[str, str] | None = None, fields: str = ""
    ) -> AsyncIterator[Sequence[Json]]:
        """The same, a page at a time, so that nobody need hold them all at once."""
        labels = ",".join(f"{key}={value}" for key, value in (selector or {}).items())
        query = {"limit": str(PAGE), "labelSelector": labels, "fieldSelector": fields}
        while True:
            page = await self._call("GET", resource.path(namespace), {k: v for k, v in query.items() if v})
            yield page.get("items") or []
            query["continue"] = page["metadata"].get("continue", "")
            if not query["continue"]:
                return

    async def create(self, manifest: Json) -> Json:
        """Fails with AlreadyExists, also when an earlier try of this very call got through unheard."""
        path = resource_of(manifest).path(manifest["metadata"]["namespace"])
        return await self._call("POST", path, {"fieldManager": names.FIELD_MANAGER}, manifest)

    async def apply(self, manifest: Json) -> Json:
        """Server-side apply of fields that are ours; with a resourceVersion it also asks that nothing has changed."""
        metadata = manifest["metadata"]
        path = resource_of(manifest).path(metadata["namespace"], metadata["name"])
        query = {"fieldManager": names.FIELD_MANAGER, "force": "true"}
        return await self._call("PATCH", path, query, manifest, APPLY)

    async def replace(self, manifest: Json) -> Json:
        """Fails with Conflict if it has changed since it was read."""
        metadata = manifest["metadata"]
        path = resource_of(manifest).path(metadata["namespace"], metadata["name"])
        return await self._call("PUT", path, {"fieldManager": names.FIELD_MANAGER}, manifest)

    async def patch_status(self, manifest: Json, status: Json) -> Json:
        """A merge patch of the status of the object as it was read; fails with Conflict if it has changed since."""
        metadata = manifest["metadata"]
        path = resource_of(manifest).path(metadata["namespace"], metadata["name"], "status")
        body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "status": status}
        return await self._call("PATCH", path, {"fieldManager": names.FIELD_MANAGER}, body, MERGE)

    async def patch_scale(
        self, resource: Resource, namespace: str, name: str, replicas: int, version: str = ""
    ) -> Json:
        """With a version it fails with Conflict if the object has changed since."""
        path = resource.path(namespace, name, "scale")
        body: Json = {"spec": {"replicas": replicas}, "metadata": {"resourceVersion": version} if version else {}}
        return await self._call("PATCH", path, {"fieldManager": names.FIELD_MANAGER}, body, MERGE)

    async def delete(self, manifest: Json) -> None:
        """Delete this very object as it was read, not a later one of the same name; gone already is fine."""
        metadata = manifest["metadata"]
        path = resource_of(manifest).path(metadata["namespace"], metadata["name"])
        same = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        options = {"propagationPolicy": "Background", "preconditions": same}
        try:
            await self._call("DELETE", path, body=options)
        except NotFound:
            return

    async def create_event(self, event: Json) -> None:
        await self._call("POST", EVENT.path(event["metadata"]["namespace"]), body=event)

    async def review(self, resource: Resource, body: Json) -> Json:
        """Ask the API server about ourselves; nothing is stored."""
        return await self._call("POST", resource.path(), body=body)

    async def discover(self, api_version: str) -> frozenset[str]:
        """Plurals that the server serves in one group and version; empty where it does not know it."""
        try:
            found = await self._call("GET", f"/apis/{api_version}")
        except NotFound:
            return frozenset()
        return frozenset(resource["name"] for resource in found["resources"])

    async def _call(
        self,
        verb: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content: str = PLAIN,
    ) -> Json:
        """One call with its retries. Only what is safe to repeat is sent: see `create` and `delete`."""
        call = f"{verb} {path}"
        now = asyncio.get_running_loop().time
        until, tries = now() + self._limits.retry, 0
        while True:
            await (self._reads if verb in READS else self._writes).take()
            if verb not in READS:
                self._before_write()
            wait = 0.0
            try:
                status, headers, text = await self._once(verb, path, query, body, content)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                self._on_answer(verb, 0)
                failure = Unavailable(call, 0, str(error) or type(error).__name__)
            else:
                self._on_answer(verb, status)
                answer = _parse(text)
                if status < 400:
                    return answer
                message = answer.get("message") or text[:200] or "no message"
                error_ = api_error(call, status, answer.get("reason", ""), message)
                if status not in RETRIED:
                    raise error_
                failure = Unavailable(call, status, message)
                wait = _seconds(headers.get("Retry-After", ""))
            wait = max(wait, min(3.0, 0.2 * 2**tries) * random.uniform(0.5, 1.5))
            tries += 1
            if now() + wait > until:
                raise failure
            await asyncio.sleep(wait)

    async def _once(
        self, verb: str, path: str, query: Mapping[str, str] | None, body: Json | None, content: str
    ) -> tuple[int, Mapping[str, str], str]:
        config = self._api.configuration
        headers = {"Accept": PLAIN, "Content-Type": content, "User-Agent": names.FIELD_MANAGER}
        if token := await authorization(config):
            headers["Authorization"] = token
        url = config.host + path + (f"?{urlencode(query)}" if query else "")
        response = await self._api.rest_client.request(
            verb, url, headers=headers, body=body, _request_timeout=self._timeout
        )
        return response.status, response.headers, (await response.read()).decode(errors="replace")


def _parse(text: str) -> Json:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _seconds(header: str) -> float:
    return float(header) if header.isdigit() else 0.0
