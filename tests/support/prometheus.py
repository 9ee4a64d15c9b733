"""A real Prometheus on loopback, pages of metrics as predictors have them, and web servers that say what a test likes."""

import contextlib
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from cluster.console import NotPossibleHere
from cluster.tools import from_debian
from dialogue_operator import names
from support import programs

SCRAPE_SECONDS = 0.2
PATIENCE_SECONDS = 30.0
Handle = Callable[[str, str, Mapping[str, str]], tuple[int, str]]  # path, body, headers → status, body


class Web:
    """Answers every request by `handle`, or not at all while `hangs`; `asked` are the bodies that came."""

    def __init__(self, handle: Handle, address: str = "127.0.0.1", port: int = 0) -> None:
        self.handle, self.hangs, self.asked = handle, False, list[str]()
        self._over = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                outer.asked.append(body)
                if outer.hangs:
                    outer._over.wait()
                    return
                status, text = outer.handle(self.path, body, dict(self.headers))
                with contextlib.suppress(ConnectionError):
                    self.send_response(status)
                    self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                    self.send_header("Content-Length", str(len(text.encode())))
                    self.end_headers()
                    self.wfile.write(text.encode())

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((address, port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://{self._server.server_address[0]!s}:{self.port}"

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Page:
    """One predictor's counters; `restart` forgets them as a new process does."""

    def __init__(self, model: str = "concierge") -> None:
        self.model = model
        self.restart()

    def restart(self) -> None:
        self._registry = CollectorRegistry()

        def counter(name: str, label: str) -> Counter:
            return Counter(name, name, ("model", "revision", label), registry=self._registry)

        def histogram(name: str, *buckets: float) -> Histogram:
            return Histogram(name, name, ("model", "revision"), registry=self._registry, buckets=buckets)

        self._requests = counter(names.METRIC_REQUESTS, "outcome")
        self._replies = counter(names.METRIC_REPLIES, "quality")
        self._votes = counter(names.METRIC_FEEDBACK, "vote")
        self._seconds = histogram(names.METRIC_REQUEST_SECONDS, 0.1, 0.5, 1.0)
        self._tokens = histogram(names.METRIC_REPLY_TOKENS, 1, 10, 100)
        self._margins = histogram(names.METRIC_BEAM_MARGIN, 0.1, 1.0)

    def show(self, revision: str) -> None:
        """All series of a revision, at 0."""
        for outcome in ("ok", "client_error", "server_error", "shed", "cancelled"):
            self._requests.labels(self.model, revision, outcome)
        for quality in ("sound", "degenerate"):
            self._replies.labels(self.model, revision, quality)
        for vote in ("up", "down"):
            self._votes.labels(self.model, revision, vote)
        for histogram in (self._seconds, self._tokens, self._margins):
            histogram.labels(self.model, revision)

    def request(self, revision: str, outcome: str = "ok", seconds: float = 0.3, times: int = 1) -> None:
        for _ in range(times):
            self._requests.labels(self.model, revision, outcome).inc()
            if outcome in ("ok", "server_error"):
                self._seconds.labels(self.model, revision).observe(seconds)

    def reply(
        self, revision: str, quality: str = "sound", tokens: int = 8, margin: float = 0.2, times: int = 1
    ) -> None:
        for _ in range(times):
            self._replies.labels(self.model, revision, quality).inc()
            self._tokens.labels(self.model, revision).observe(tokens)
            self._margins.labels(self.model, revision).observe(margin)

    def vote(self, revision: str, vote: str, times: int = 1) -> None:
        self._votes.labels(self.model, revision, vote).inc(times)

    def __call__(self, path: str, body: str, headers: Mapping[str, str]) -> tuple[int, str]:
        return 200, generate_latest(self._registry).decode()


@pytest.fixture(scope="session")
def prometheus_program() -> Path:
    """The one on PATH or compiled for the local cluster, else Debian's; the test is skipped where none can be had."""
    if found := programs.find("prometheus"):
        return found
    try:
        return from_debian("prometheus", "usr/bin/prometheus")
    except NotPossibleHere as error:
        pytest.skip(f"there is no prometheus: {error}")


class Prometheus:
    """A running one; `ask` returns the result of a query."""

    def __init__(self, url: str, process: "subprocess.Popen[bytes]") -> None:
        self.url, self.process = url, process

    def ask(self, query: str) -> list[Any]:
        reply = httpx.post(f"{self.url}/api/v1/query", data={"query": query}, trust_env=False)
        found: list[Any] = reply.raise_for_status().json()["data"]["result"]
        return found

    def number(self, query: str) -> float:
        """Of a vector of one; 0 where there is none."""
        return float(next((one["value"][1] for one in self.ask(query)), 0.0))

    def wait_for_a_scrape(self) -> None:
        """Until every target has been scraped with success after now."""
        now = time.time()
        eventually(lambda: self.number(f"min(timestamp(up) * up) > {now}"))

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)


def eventually(holds: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "that did not happen"
        time.sleep(0.05)


@contextlib.contextmanager
def prometheus_of(program: Path, folder: Path, targets: Mapping[str, Mapping[str, str]]) -> Iterator[Prometheus]:
    """A Prometheus that scrapes these targets (`host:port` → labels), for as long as the block runs."""
    config = {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS * 1000:.0f}ms", "scrape_timeout": f"{SCRAPE_SECONDS * 1000:.0f}ms"},
        "scrape_configs": [
            {
                "job_name": "predictors",
                "static_configs": [{"targets": [one], "labels": dict(labels)} for one, labels in targets.items()],
            }
        ],
    }  # fmt: skip
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = int(one.getsockname()[1])
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
            ],
            cwd=folder, stdout=log, stderr=log,
        )  # fmt: skip
        found = Prometheus(f"http://127.0.0.1:{port}", process)
        try:
            eventually(lambda: _is_ready(found, folder))
            yield found
        finally:
            if process.poll() is None:
                found.stop()


def _is_ready(prometheus: Prometheus, folder: Path) -> bool:
    assert prometheus.process.poll() is None, (folder / "prometheus.log").read_text()[-2000:]
    try:
        return httpx.get(f"{prometheus.url}/-/ready", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
