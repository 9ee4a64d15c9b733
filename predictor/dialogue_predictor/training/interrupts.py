"""Being asked to stop: a step is finished and saved first, unless one asks twice."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):
    """A run was asked to stop after `step` updates; `saved` says whether it can go on from there."""

    def __init__(self, step: int, saved: bool) -> None:
        super().__init__(f"stopped after step {step}" + ("" if saved else "; nothing was saved"))
        self.step = step
        self.saved = saved


@contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """Whether SIGINT or SIGTERM has come. The second one acts as it would have before.

    Off the main thread, where no signal arrives, it never has.
    """
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield came.is_set
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        came.set()
        restore()

    for number in SIGNALS:
        signal.signal(number, note)
    try:
        yield came.is_set
    finally:
        restore()
