"""Start a real predictor in a process of its own on free ports, and talk to it."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx

NAME = "tiny"
REVISION = "0badcafe"
PATIENCE_SECONDS = 180.0
ROOT = Path(__file__).resolve().parents[2]
HELLO = {"model": NAME, "messages": [{"role": "user", "content": "hello there"}]}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def environment(**more: str) -> dict[str, str]:
    """This process's, able to import the product and the test support, without an operator's variables."""
    paths = [str(ROOT / part) for part in ("operator", "predictor", "tests")]
    own = {key: value for key, value in os.environ.items() if not key.startswith("DIALOGUE_")}
    return {**own, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", **more}


@dataclass
class Predictor:
    """A running one. `log` is what it wrote to stderr, complete once it has ended."""

    process: subprocess.Popen[str]
    http_port: int
    grpc_port: int
    log: Path
    name: str = NAME
    revision: str = REVISION
    streams: list[IO[str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    def wait_ready(self) -> None:
        self.wait_for(f"/v2/models/{self.name}/ready", 200)

    def wait_for(self, path: str, status: int) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        with httpx.Client(base_url=self.url) as client:
            while time.monotonic() < end:
                if self.process.poll() is not None:
                    raise AssertionError(f"the predictor ended: {self.log.read_text()}")
                with contextlib.suppress(httpx.TransportError):
                    if client.get(path).status_code == status:
                        return
                select.select([], [], [], 0.02)
        raise AssertionError(f"{path} never answered {status}: {self.log.read_text()}")

    def rss_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def metric(self, sample: str, **labels: str) -> float:
        """The value of one sample, 0 where it does not exist."""
        from prometheus_client.parser import text_string_to_metric_families

        text = httpx.get(f"{self.url}/metrics").text
        for family in text_string_to_metric_families(text):
            for found in family.samples:
                if found.name == sample and labels.items() <= found.labels.items():
                    return float(found.value)
        return 0.0

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def end(self) -> int:
        """The exit code, once it has ended."""
        return self.process.wait(PATIENCE_SECONDS)


@contextlib.contextmanager
def running(words: list[str], folder: Path, environ: dict[str, str] | None = None) -> Iterator[Predictor]:
    """`words` are python's; the ports are appended as the options of `dialogue serve`."""
    http_port, grpc_port = free_port(), free_port()
    log = folder / f"predictor-{http_port}.log"
    ports = ["--http-port", str(http_port), "--grpc-port", str(grpc_port)]
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, *words, *ports], env=environ or environment(), stderr=stderr, stdout=stderr, text=True
        )
        try:
            yield Predictor(process, http_port, grpc_port, log)
        finally:
            process.kill()
            process.wait()


def serving(bundle: Path, folder: Path, **environ: str) -> contextlib.AbstractContextManager[Predictor]:
    """`dialogue serve BUNDLE`, as a pod of the operator would name it."""
    words = ["-m", "dialogue_predictor.cli", "serve", str(bundle)]
    return running(words, folder, environment(DIALOGUE_MODEL_NAME=NAME, DIALOGUE_REVISION=REVISION, **environ))


def served(folder: Path, **how: Any) -> contextlib.AbstractContextManager[Predictor]:
    """A predictor with other limits or another backend: see `support.served`."""
    return running(["-m", "support.served", json.dumps(how)], folder)
