"""Computing on a thread that ends afterwards, so that it leaves nothing behind that slows decoding."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def apart(work: Callable[[], Result]) -> Result:
    """What `work` returns or raises.

    OpenMP keeps a team of threads for every thread that has ever computed with it. With more of them than cores its
    teams sleep between two operations instead of spinning, and waking up takes longer than most operations of a step:
    decoding beside a thread that had only loaded the model was a third slower in fp32, and half as fast in int8.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="apart") as thread:
        return thread.submit(work).result()
