"""The machine: what it is, how busy others keep it."""

import importlib.metadata
import os
import platform
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
TELLING_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_bf16", "amx_int8")
LIBRARIES = ("torch", "ctranslate2", "transformers", "onnxruntime")


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def busy_seconds() -> float:
    """Core-seconds that all processes and the hypervisor have taken since the start of the machine."""
    user, nice, system, _, _, interrupts, soft, stolen = map(int, first_line("/proc/stat").split()[1:9])
    return (user + nice + system + interrupts + soft + stolen) / TICKS


def process_seconds(pid: int) -> float:
    """Core-seconds of one process."""
    fields = first_line(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def first_line(path: str) -> str:
    with Path(path).open(encoding="utf-8") as file:
        return file.readline()


def wait_until_quiet(most: float, share: float = 0.06, look: float = 0.2) -> None:
    """Returns when others used less than that share of the machine for a moment, or after `most` seconds."""
    until = time.monotonic() + most
    while time.monotonic() < until:
        before = busy_seconds()
        time.sleep(look)
        if busy_seconds() - before <= share * look * cores():
            return


def describe(now: datetime | None = None) -> str:
    """One line for the page: processor, cores, memory, versions, date."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = field(info, "model name") or platform.processor() or platform.machine()
    present = (field(info, "flags") or "").split()
    flags = [flag for flag in TELLING_FLAGS if flag in present]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    day = (now or datetime.now(UTC)).date().isoformat()
    return (
        f"{cores()} cores of {model} ({', '.join(flags)}), {memory:.0f} GiB, "
        f"Python {platform.python_version()}, {versions(LIBRARIES, importlib.metadata.version)}; {day}"
    )


def field(text: str, name: str) -> str | None:
    found = re.search(rf"^{name}\s*: (.*)$", text, re.M)
    return found[1].strip() if found else None


def versions(libraries: Sequence[str], version: Callable[[str], str]) -> str:
    def one(library: str) -> str:
        try:
            return f"{library} {version(library)}"
        except importlib.metadata.PackageNotFoundError:
            return f"no {library}"

    return ", ".join(map(one, libraries))
