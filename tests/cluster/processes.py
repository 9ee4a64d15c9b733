"""The cluster's own processes: started with a record of pid and start time, ended by those, never by name."""

import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from cluster.console import ClusterError, say
from cluster.places import LOGS, NETNS, NODE_IP, PIDS, SCRATCH, STATE
from cluster.shell import Word, attempt, direct

GENTLY = (signal.SIGTERM, signal.SIGKILL)
AT_ONCE = (signal.SIGKILL,)


@dataclass(frozen=True)
class Daemon:
    """How something was started: enough to find it again and to start it anew."""

    name: str
    pid: int
    started: str  # field 22 of /proc/PID/stat: tells a process from a later one with the same pid
    command: list[str]
    env: dict[str, str]

    @property
    def alive(self) -> bool:
        return is_alive(self.pid, self.started)


def start_time(pid: int) -> str | None:
    fields = _stat(pid)
    return fields[19] if fields else None


def is_alive(pid: int, started: str | None) -> bool:
    """Whether this very process still runs; a zombie does not."""
    fields = _stat(pid)
    return fields is not None and started is not None and fields[19] == started and fields[0] != "Z"


def _stat(pid: int) -> list[str] | None:
    """What follows the name in /proc/PID/stat: state first, start time twentieth."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None


def daemons() -> list[Daemon]:
    """Everything that was started, oldest first."""
    files = sorted(PIDS.glob("*"), key=lambda file: file.stat().st_mtime)
    return [Daemon(**json.loads(file.read_text())) for file in files]


def daemon(name: str) -> Daemon:
    try:
        return next(one for one in daemons() if one.name == name)
    except StopIteration:
        known = ", ".join(one.name for one in daemons()) or "nothing"
        raise ClusterError(f"nothing called {name!r} was started; there is: {known}") from None


def start(
    name: str, *command: Word, env: Mapping[str, str] | None = None, netns: str = NETNS, mounts_of: str | None = None
) -> None:
    """Start a daemon in a network namespace, and in another daemon's mount namespace if asked.

    nsenter and not `ip netns exec`: that mounts /sys anew, which hides the cgroups.
    """
    mounts = [f"--mount=/proc/{daemon(mounts_of).pid}/ns/mnt"] if mounts_of else []
    launch(name, ["nsenter", f"--net=/run/netns/{netns}", *mounts, "--", *map(str, command)], dict(env or {}))


def launch(name: str, command: list[str], env: dict[str, str]) -> None:
    with (LOGS / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=STATE,
            env={**direct(), **env},
        )
    record = Daemon(name, process.pid, start_time(process.pid) or "", command, env)
    half = SCRATCH / f"{name}.pid"
    half.write_text(json.dumps(asdict(record)))
    half.rename(PIDS / name)


def restart(name: str) -> None:
    known = daemon(name)
    end([known.pid] if known.alive else [])
    launch(name, known.command, known.env)


def end(pids: Iterable[int], signals: tuple[int, ...] = GENTLY, patience: float = 1.0) -> None:
    """Send one signal after the other, with a little time between; nothing here is worth a long goodbye."""
    left = {pid: started for pid in pids if (started := start_time(pid))}
    for number in signals:
        for pid in left:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        until = time.monotonic() + patience
        while left := {pid: started for pid, started in left.items() if is_alive(pid, started)}:
            if time.monotonic() > until:
                break
            time.sleep(0.02)


def inside(netns: str) -> list[int]:
    """Every process of a network namespace, whoever started it."""
    return [int(pid) for pid in (attempt("ip", "netns", "pids", netns) or "").split()]


def wait_for(what: str, ready: Callable[[], object], patience: float = 120.0, every: float = 0.1) -> None:
    """Wait for a condition; give up at once when one of our daemons has died."""
    until = time.monotonic() + patience
    while not ready():
        if dead := [one.name for one in daemons() if not one.alive]:
            raise ClusterError(f"{', '.join(dead)} died; the logs are in {LOGS}\n{_last_lines(dead[0])}")
        if time.monotonic() > until:
            raise ClusterError(f"waited {patience:.0f} s for {what} in vain; the logs are in {LOGS}")
        time.sleep(every)
    say(f"{what}: ready")


def answers(port: int, path: str) -> bool:
    """Whether a daemon beside node 0 says that it is well."""
    connection = http.client.HTTPConnection(NODE_IP, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _last_lines(name: str, count: int = 5) -> str:
    try:
        return "\n".join((LOGS / f"{name}.log").read_text(errors="replace").splitlines()[-count:])
    except OSError:
        return ""
