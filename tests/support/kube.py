"""A proxy before a real API server that counts, delays, refuses, and can end its client at the n-th write.

One proxy for each client: then whatever comes by is known to be that client's.
"""

import asyncio
import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import aiohttp
import yaml
from aiohttp import web

Moment = Literal["before", "unheard", "after"]
MOMENTS: tuple[Moment, ...] = ("before", "unheard", "after")
NOT_COUNTED = ("/leases", "/events", "selfsubject")
HOP = frozenset({"host", "content-length", "transfer-encoding", "connection", "authorization", "accept-encoding"})


@dataclass(frozen=True)
class Write:
    """One write as it came by, or the resourceVersion that the API server gave it."""

    verb: str
    path: str
    version: int = 0

    def __str__(self) -> str:
        return f"{self.verb} {self.path}"


@dataclass(frozen=True)
class Trap:
    """`spring` at the n-th write from now (1 is the next): before it, after it but unheard by the client, or after it."""

    number: int
    moment: Moment
    spring: Callable[[], None]


class Proxy:
    """Plain HTTP on loopback; everything a test sets takes effect with the next request."""

    def __init__(self, upstream: "Upstream") -> None:
        self.url = ""
        self.writes: list[Write] = []
        self.done: list[Write] = []  # those that the API server carried out
        self.hold: Callable[[str, str], bool] = lambda verb, path: (
            False
        )  # these writes wait on the way, as long as it holds
        self.held = 0
        self.watches: Literal["", "stall", "gone", "error"] = ""  # what becomes of watches, of those that run, too
        self.broken: Literal["", "refuse", "hang", "unheard"] = ""  # for all requests that `breaks` picks
        self.breaks: Callable[[str, str], bool] = lambda verb, path: True
        self.status = 0  # answer these with this status instead
        self.retry_after = ""
        self.spoilt = 0
        self.reads: list[str] = []  # their paths, but for watches
        self._trap: Trap | None = None
        self._upstream = upstream
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._streams: set[asyncio.WriteTransport] = set()

    @property
    def watching(self) -> int:
        """Watches that run."""
        return len(self._streams)

    def spoil_watches(self, how: Literal["", "stall", "gone", "error"]) -> None:
        """From now on: nothing comes any more, or the connection ends and the next one begins with an error."""
        self.watches = how
        if how != "stall":
            self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for stream in tuple(self._streams):
            stream.abort()

    def arm(self, trap: Trap | None) -> None:
        self.writes.clear()
        self._trap = trap

    def kubeconfig(self, folder: Path) -> Path:
        """A kubeconfig whose server is this proxy."""
        cluster = {"name": "proxy", "cluster": {"server": self.url}}
        context = {"name": "proxy", "context": {"cluster": "proxy", "user": "nobody"}}
        user = {"name": "nobody", "user": {}}
        found = {"apiVersion": "v1", "kind": "Config", "current-context": "proxy"}
        path = folder / f"proxy-{self.url.rpartition(':')[2]}.kubeconfig"
        path.write_text(json.dumps({**found, "clusters": [cluster], "contexts": [context], "users": [user]}))
        return path

    async def _serve(self, started: threading.Event) -> None:
        connector = aiohttp.TCPConnector(ssl=self._upstream.ssl, limit=0)
        async with aiohttp.ClientSession(
            connector=connector, headers=self._upstream.headers, auto_decompress=False
        ) as session:

            async def handle(request: web.Request) -> web.StreamResponse:
                return await self._handle(request, session)

            app = web.Application(client_max_size=2**24)
            app.router.add_route("*", "/{path:.*}", handle)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            started.set()
            await self._over.wait()
            await runner.cleanup()
        await asyncio.sleep(0.25)  # aiohttp's way to let TLS connections close

    async def _handle(self, request: web.Request, session: aiohttp.ClientSession) -> web.StreamResponse:
        path = request.path
        if "watch" in request.query and self.watches in ("gone", "error"):
            return await self._spoil(request)
        picked = bool(self.broken or self.status) and self.breaks(request.method, path)
        if picked and self.broken != "unheard":
            return await self._refuse(request)
        if request.method == "GET":
            if "watch" not in request.query:
                self.reads.append(path)
            return await self._forward(request, session, await request.read())
        body = await request.read()
        if any(word in path for word in NOT_COUNTED):
            return await self._forward(request, session, body)
        self.writes.append(Write(request.method, path))
        trap = self._trap if self._trap and len(self.writes) == self._trap.number else None
        if trap and trap.moment == "before":
            trap.spring()
            return _abort(request)
        while self.hold(request.method, path):
            self.held += 1
            await asyncio.sleep(0.02)
        try:
            response = await self._send(request, session, body)
        except (aiohttp.ClientError, ConnectionError):
            return _abort(request)
        if trap and trap.moment == "unheard":
            trap.spring()
            return _abort(request)
        if picked:
            return _abort(request)
        if trap:
            await response.prepare(request)
            await response.write_eof()
            trap.spring()
        return response

    async def _refuse(self, request: web.Request) -> web.StreamResponse:
        if self.broken == "hang":
            await self._over.wait()
        if self.broken:
            return _abort(request)
        headers = {"Retry-After": self.retry_after} if self.retry_after else {}
        said = {"kind": "Status", "message": "made up by a test"}
        return web.json_response(said, status=self.status, headers=headers)

    async def _send(self, request: web.Request, session: aiohttp.ClientSession, body: bytes) -> web.Response:
        """A write, whole; what the API server did is noted, whether or not the client hears of it."""
        url = self._upstream.url + request.path_qs
        async with session.request(request.method, url, **_copy(request, body)) as reply:
            text = await reply.read()
            if reply.status < 400:
                version = (json.loads(text).get("metadata") or {}).get("resourceVersion", "0")
                self.done.append(Write(request.method, request.path, int(version)))
            headers = {k: v for k, v in reply.headers.items() if k.lower() not in HOP}
            return web.Response(status=reply.status, headers=headers, body=text)

    async def _spoil(self, request: web.Request) -> web.StreamResponse:
        self.spoilt += 1
        code, reason = (410, "Expired") if self.watches == "gone" else (500, "InternalError")
        said = {"kind": "Status", "code": code, "reason": reason, "message": "made up by a test"}
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(json.dumps({"type": "ERROR", "object": said}).encode() + b"\n")
        return response

    async def _stream(self, request: web.Request, reply: aiohttp.ClientResponse, response: web.StreamResponse) -> None:
        """A watch, for as long as nobody spoils it; one that stalls stays open and silent."""
        if request.transport is not None:
            self._streams.add(request.transport)
        try:
            async for chunk in reply.content.iter_any():
                while self.watches == "stall":  # noqa: ASYNC110 - tests set it from another thread
                    await asyncio.sleep(0.05)
                await response.write(chunk)
        finally:
            if request.transport is not None:
                self._streams.discard(request.transport)

    async def _forward(self, request: web.Request, session: aiohttp.ClientSession, body: bytes) -> web.StreamResponse:
        """Streams, so that watches pass."""
        url = self._upstream.url + request.path_qs
        try:
            async with session.request(
                request.method, url, timeout=aiohttp.ClientTimeout(), **_copy(request, body)
            ) as reply:
                headers = {k: v for k, v in reply.headers.items() if k.lower() not in HOP}
                response = web.StreamResponse(status=reply.status, headers=headers)
                await response.prepare(request)
                if "watch" in request.query:
                    await self._stream(request, reply, response)
                    return response
                async for chunk in reply.content.iter_any():
                    await response.write(chunk)
                return response
        except (aiohttp.ClientError, ConnectionError):
            return _abort(request)


def _copy(request: web.Request, body: bytes) -> dict[str, Any]:
    return {"data": body or None, "headers": {k: v for k, v in request.headers.items() if k.lower() not in HOP}}


def _abort(request: web.Request) -> web.Response:
    """No answer: the connection is cut."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=502)


@dataclass(frozen=True)
class Upstream:
    """The API server behind the proxy, and who speaks to it."""

    url: str
    headers: dict[str, str]
    ssl: ssl.SSLContext

    @classmethod
    def of(cls, kubeconfig: Path, folder: Path) -> "Upstream":
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if "client-certificate-data" in user:
            for name in ("certificate", "key"):
                (folder / f"client.{name}").write_bytes(base64.b64decode(user[f"client-{name}-data"]))
            context.load_cert_chain(folder / "client.certificate", folder / "client.key")
        headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        return cls(cluster["server"], headers, context)


@contextmanager
def proxy_to(kubeconfig: Path, folder: Path) -> Iterator[Proxy]:
    """A proxy in a thread of its own, for as long as the block runs."""
    proxy = Proxy(Upstream.of(kubeconfig, folder))
    started = threading.Event()
    thread = threading.Thread(target=proxy._loop.run_until_complete, args=(proxy._serve(started),), daemon=True)
    thread.start()
    assert started.wait(10), "the proxy did not start"
    try:
        yield proxy
    finally:
        proxy._loop.call_soon_threadsafe(proxy._over.set)
        thread.join(10)
        proxy._loop.close()
