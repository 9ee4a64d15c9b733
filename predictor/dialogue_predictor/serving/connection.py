"""uvicorn's HTTP connection, with patience that ends.

uvicorn waits for ever for a request's headers and lets them grow without bound. Here a request's headers have a time
and a size, and a body that is still coming after its answer was sent (413, 408) has a time too.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dialogue_predictor.serving.limits import Limits

TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class PatientConnection(HttpToolsProtocol):
    limits = Limits()

    _timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait(self.limits.head_seconds)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            if self._timer is None:  # the first bytes of a further request
                self._wait(self.limits.head_seconds)
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > self.limits.head_bytes and not self.transport.is_closing():
            self.transport.write(TOO_LARGE)
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        self._stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        self._stop_waiting()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._in_head:  # answered before the body was there: what still comes is thrown away, for a while
            self._unset_keepalive_if_required()
            self._wait(self.limits.body_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self, seconds: float) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def patient(limits: Limits) -> type[PatientConnection]:
    """The connection class for uvicorn, which takes a class and tells it nothing."""
    namespace: dict[str, Any] = {"limits": limits}
    return type("PatientConnection", (PatientConnection,), namespace)
