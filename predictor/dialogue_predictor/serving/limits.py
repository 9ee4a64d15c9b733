"""How much a client may ask for, in one place; the defaults suit one pod of a small model."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    body_bytes: int = 256 * 1024
    body_seconds: float = 10.0  # a whole body must have arrived by then
    head_bytes: int = 32 * 1024
    head_seconds: float = 10.0  # from the first byte of a request, or the connection, to the end of its headers
    in_flight: int = 64
    request_seconds: float = 60.0
    drain_seconds: float = 20.0
    drain_margin_seconds: float = 2.0  # what is left of the drain for error events to reach their clients
