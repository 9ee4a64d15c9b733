"""Web servers that end with their test, and the Prometheus program."""

import contextlib
from collections.abc import Callable, Iterator

import pytest

from support.prometheus import Handle, Web, prometheus_program

__all__ = ["prometheus_program"]

Serve = Callable[..., Web]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve(handle, address, port)` starts a web server."""
    with contextlib.ExitStack() as stack:

        def start(handle: Handle, address: str = "127.0.0.1", port: int = 0) -> Web:
            web = Web(handle, address, port)
            stack.callback(web.close)
            return web

        yield start
