"""A real kube-apiserver with its etcd, on loopback, for one test session: no nodes, no controllers, no root needed."""

import contextlib
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support import programs

TOKEN = "admin-of-a-test-session"
PATIENCE_SECONDS = 90.0


class CommandFailed(AssertionError):
    """kubectl refused; the text is what it said."""


@dataclass(frozen=True)
class ApiServer:
    """Where it listens, and how to talk to it as cluster-admin."""

    url: str
    kubeconfig: Path
    kubectl_program: Path

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        """Its standard output; raises CommandFailed with what it wrote to stderr."""
        command = [str(self.kubectl_program), f"--kubeconfig={self.kubeconfig}", *words]
        done = subprocess.run(command, input=stdin or "", capture_output=True, text=True, check=False, env=_direct())
        if done.returncode:
            raise CommandFailed(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def apply(self, *objects: dict[str, Any]) -> str:
        """`kubectl apply` of these objects, checked strictly by the server."""
        return self.kubectl("apply", "-f", "-", stdin="\n---\n".join(json.dumps(one) for one in objects))


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One API server for the whole session: let each test use names or a namespace of its own."""
    folder = tmp_path_factory.mktemp("apiserver")
    binaries = {name: programs.require(name) for name in ("etcd", "kube-apiserver", "kubectl")}
    with contextlib.ExitStack() as stack:
        yield _start(folder, binaries, stack)


def _start(folder: Path, binaries: dict[str, Path], stack: contextlib.ExitStack) -> ApiServer:
    peer, client, port = _free_ports(3)
    etcd = f"http://127.0.0.1:{client}"
    started = [
        _daemon(
            stack, folder, binaries["etcd"], f"--data-dir={folder / 'etcd'}", "--unsafe-no-fsync", "--log-level=error",
            f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}", "--name=test",
            f"--listen-peer-urls=http://127.0.0.1:{peer}", f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=test=http://127.0.0.1:{peer}",
        )
    ]  # fmt: skip
    _wait_for(lambda: _answers(f"{etcd}/health"), started)
    key = folder / "service-accounts.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    tokens = folder / "tokens.csv"
    tokens.write_text(f'{TOKEN},admin,admin,"system:masters"\n')
    url = f"https://127.0.0.1:{port}"
    started.append(
        _daemon(
            stack, folder, binaries["kube-apiserver"], f"--etcd-servers={etcd}", f"--secure-port={port}",
            "--bind-address=127.0.0.1", f"--cert-dir={folder / 'certs'}", f"--token-auth-file={tokens}",
            "--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24",
            f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc", "--profiling=false",
            "--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none",
        )
    )  # fmt: skip
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(json.dumps(_kubeconfig(url)))
    server = ApiServer(url, kubeconfig, binaries["kubectl"])
    _wait_for(lambda: _works(server), started)
    return server


def _daemon(stack: contextlib.ExitStack, folder: Path, program: Path, *options: str) -> "subprocess.Popen[bytes]":
    log = stack.enter_context((folder / f"{program.name}.log").open("wb"))
    process = subprocess.Popen([program, *options], cwd=folder, stdout=log, stderr=log, env=_direct())
    stack.callback(_end, process)
    return process


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_for(ready: Callable[[], bool], started: "list[subprocess.Popen[bytes]]") -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not ready():
        for process in started:
            if process.poll() is not None:
                raise RuntimeError(f"{Path(str(process.args[0])).name} ended with exit code {process.returncode}")  # type: ignore[index]
        if time.monotonic() > until:
            raise TimeoutError(f"the API server did not come up within {PATIENCE_SECONDS:.0f} s")
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _works(server: ApiServer) -> bool:
    """Ready, and past the hooks that make the default namespace and the bootstrap roles."""
    try:
        server.kubectl("get", "--raw", "/readyz")
        server.kubectl("get", "namespace", "default")
    except CommandFailed:
        return False
    return True


def _kubeconfig(url: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": url, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "admin", "user": {"token": TOKEN}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
    }


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _direct() -> dict[str, str]:
    """The environment less its proxies and its own kubeconfig: everything here is on loopback."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
