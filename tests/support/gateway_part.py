"""The gateway's part in a request, in this process: it forwards to one predictor and tells it of its variants."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from support.serving import REVISION

FULL = {"numBeams": 2, "maxNewTokens": 6, "lengthPenalty": 1.0, "noRepeatNgram": 3}
NOT_FORWARDED = {"host", "content-length", "transfer-encoding", "connection"}


def variant(revision: str, weight: float = 0, **generation: float) -> dict[str, Any]:
    """An entry of the header."""
    return {"revision": revision, "weight": weight, "generation": FULL | generation}


def arms(*variants: dict[str, Any], own: str = REVISION) -> dict[str, str]:
    """The header, or metadata."""
    return {"x-dialogue-arms": json.dumps({own: variants})}


@dataclass
class GatewayPart:
    """`pins`: the revisions that requests asked for, in order; None for a conversation's first."""

    url: str
    pins: list[str | None] = field(default_factory=list)


@contextmanager
def gateway(target: str, headers: dict[str, str]) -> Iterator[GatewayPart]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            forwarded = {k: v for k, v in self.headers.items() if k.lower() not in NOT_FORWARDED} | headers
            part.pins.append(self.headers["x-dialogue-revision"])
            answer = httpx.post(target + self.path, content=body, headers=forwarded)
            self.send_response(answer.status_code)
            for name, value in answer.headers.multi_items():
                if name.lower() not in NOT_FORWARDED:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        part = GatewayPart(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield part
        finally:
            server.shutdown()
            thread.join()
