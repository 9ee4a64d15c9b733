"""The operator as a process, as a Deployment would start it."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dialogue_operator

START = """
import sys
from dialogue_operator.controller.run import run
from dialogue_operator.controller.settings import Settings
sys.exit(run(Settings.from_environ()))
"""
PACKAGES = str(Path(dialogue_operator.__file__).parents[1])
LEASE_SECONDS = 3.0  # a fifth of the default, with everything that depends on it


class Operator:
    """A running process; what it logs goes to a file."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
        self.process, self.port, self.log = process, port, log

    def ask(self, path: str) -> tuple[int, str]:
        """Status and text of its health port; (0, ...) while nothing answers there."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{self.port}{path}", timeout=3) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def metric(self, line: str) -> float:
        """The value of one sample, named as it stands in the exposition."""
        found = re.search(rf"^{re.escape(line)} (\S+)$", self.ask("/metrics")[1], re.MULTILINE)
        return float(found[1]) if found else 0.0

    @property
    def leads(self) -> bool:
        return self.metric("dialogue_operator_leader") == 1

    def kill(self) -> None:
        self.process.kill()

    def stop(self) -> int:
        """SIGTERM, as Kubernetes sends it; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)

    def logs(self) -> str:
        return self.log.read_text()


@contextmanager
def operator(kubeconfig: Path, folder: Path, **settings: str) -> Iterator[Operator]:
    """Start one; it is killed when the block ends. `settings` are DIALOGUE_OPERATOR_* variables in lower case."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = {
        "gateway_name": "dialogue", "gateway_namespace": "kserve", "domain": "models.test",
        "predictor_image": "example.test/predictor:1", "lease_namespace": "default", "lease_seconds": str(LEASE_SECONDS),
        "health_port": str(port), "health_address": "127.0.0.1", **settings,
    }  # fmt: skip
    env = {f"DIALOGUE_OPERATOR_{name.upper()}": value for name, value in told.items()}
    plain = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    log = folder / f"operator-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", START], stdout=output, stderr=output, cwd=folder,
            env={**plain, **env, "KUBECONFIG": str(kubeconfig), "PYTHONPATH": PACKAGES},
        )  # fmt: skip
        try:
            yield Operator(process, port, log)
        finally:
            process.kill()
            process.wait()


def eventually(what: str, holds: Callable[[], object], seconds: float = 30.0) -> float:
    """Wait for a condition; how long that took."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"waited {seconds:.0f} s in vain: {what}")
        time.sleep(0.05)
    return time.monotonic() - began
