"""The cgroup that is the parent of all pods of a node: with version 1 one folder a controller, with version 2 one."""

import errno
import os
import time
from pathlib import Path

PATIENCE = 5.0
ROOT = Path("/sys/fs/cgroup")


def _unified() -> bool:
    return (ROOT / "cgroup.controllers").exists()


def create(name: str) -> None:
    if _unified():
        (ROOT / name).mkdir(exist_ok=True)
        return
    for controller in ROOT.iterdir():
        if controller.is_dir() and not controller.is_symlink():
            (controller / name).mkdir(exist_ok=True)
            for file in ("cpuset.cpus", "cpuset.mems"):  # a new cpuset is empty, and nothing can run in it
                if (controller / name / file).exists():
                    (controller / name / file).write_text((controller / file).read_text())


def processes(name: str) -> set[int]:
    return {
        int(pid)
        for parent in _parents(name)
        for file in parent.glob("**/cgroup.procs")
        for pid in file.read_text().split()
    }


def remove(name: str) -> None:
    """Once its processes have ended; children first. A process that was killed may stay a moment until it is reaped."""
    until = time.monotonic() + PATIENCE
    for parent in _parents(name):
        for folder, _, _ in os.walk(parent, topdown=False):
            while not _removed(folder) and time.monotonic() < until:
                time.sleep(0.02)


def _removed(folder: str) -> bool:
    try:
        os.rmdir(folder)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def _parents(name: str) -> list[Path]:
    return [path for path in ([ROOT / name] if _unified() else ROOT.glob(f"*/{name}")) if path.is_dir()]
