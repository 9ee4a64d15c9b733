"""How many cores this process may use: a pod's limit counts, which neither Python nor torch look at."""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def available_cores(cgroup: Path = CGROUP) -> int:
    """At least 1. A limit of one and a half cores makes two threads, which share it."""
    return max(1, math.ceil(min(len(os.sched_getaffinity(0)), quota(cgroup))))


def quota(cgroup: Path) -> float:
    """The limit in cores, infinite where there is none. cgroup v2 has it in one file, v1 in two."""
    for paths in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            allowed, period = " ".join((cgroup / path).read_text(encoding="ascii") for path in paths).split()
        except (OSError, ValueError):
            continue
        return math.inf if allowed in ("max", "-1") else int(allowed) / int(period)
    return math.inf
