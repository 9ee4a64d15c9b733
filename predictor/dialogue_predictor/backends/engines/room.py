"""Memory for keys and values that is used again.

Fresh memory costs a page fault for every 4 KiB, and a batch of 32 sources has 100 MB of keys and values: about 3 % of
a batch's time.
"""

import ctypes
import math
import weakref
from collections.abc import Sequence
from contextlib import suppress

import torch
from torch import Tensor

KEPT_BYTES = 128 << 20
LARGEST_WASTE = 2  # a room is not put into memory more than so many times as large


def trim() -> None:
    """Gives the system back what the C library keeps of freed memory, where it is one that can (glibc).

    A model whose weights have been packed one after the other leaves holes as large as itself, which nothing as large as
    a room fits into.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


class Room:
    """Keys and values in one piece of memory. Whoever uses them holds the room: without it the memory is another's."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys, self.values = keys, values

    @property
    def layers(self) -> list[Tensor]:
        """Every layer's keys, then every layer's values."""
        return [*self.keys, *self.values]


class Pool:
    """Makes rooms, and keeps at most `kept_bytes` of the memory of those that nobody holds any more.

    Several threads may use it: a piece is taken by removing it from a dictionary, which one of them alone can do.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._free: dict[int, Tensor] = {}  # flat, by identity, the longest unused first

    @property
    def free_bytes(self) -> int:
        return sum(flat.nbytes for flat in list(self._free.values()))

    def room(self, keys: Sequence[int], values: Sequence[int]) -> Room:
        """For keys and values of these shapes, of as many numbers; filled with anything."""
        count = math.prod(keys)
        flat = self._taken(2 * count)
        room = Room(flat[:count].view(*keys), flat[count : 2 * count].view(*values))
        weakref.finalize(room, self._give, flat).atexit = False
        return room

    def _taken(self, count: int) -> Tensor:
        """Free memory of about that size, or new memory; what is smaller goes then, as batches grow out of their rooms."""
        free = sorted(self._free.values(), key=Tensor.numel)
        for flat in free:
            if count <= flat.numel() <= LARGEST_WASTE * count and self._free.pop(id(flat), None) is not None:
                return flat
        for flat in free:
            if flat.numel() < count:
                self._free.pop(id(flat), None)
        return torch.empty(count, dtype=torch.float32)

    def _give(self, flat: Tensor) -> None:
        self._free[id(flat)] = flat
        for longest_unused in list(self._free):
            if self.free_bytes > self._kept_bytes:
                self._free.pop(longest_unused, None)
