"""What a process that trains on a CPU wants of the libraries below it: what it makes again and again is to be kept."""

import ctypes
import os
from contextlib import suppress
from typing import Final

ENVIRONMENT: Final = {
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "8192",  # kernels: of its own it keeps 1,024, and compiles the others anew
}
M_TRIM_THRESHOLD, M_MMAP_MAX, NEVER = -1, -4, -1  # of malloc.h


def settle() -> None:
    """To be called before the first product. What the user has set stays."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    keep_memory()


def keep_memory() -> None:
    """Freed memory stays the process's: glibc gives a large tensor's back at once, and the page faults of the next one take
    a sixth of the time."""
    with suppress(AttributeError, OSError):  # another C library
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, NEVER)
