"""The ports, claimed before anything slow is imported: a person hears at once that one is taken.

A claimed socket is bound but does not listen yet, so that nobody waits in a backlog for a server that is still
importing.
"""

import socket

from dialogue_predictor.errors import LoadFailed


def claim(host: str, port: int, option: str) -> socket.socket:
    """A socket bound to the port. Raises LoadFailed that names the `option` with which to choose another."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    claimed = socket.socket(family, socket.SOCK_STREAM)
    try:
        claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        claimed.bind((host, port))
    except OSError as error:
        claimed.close()
        raise LoadFailed(f"cannot listen on {host}:{port} ({error.strerror}); choose another with {option}") from None
    return claimed


def check(host: str, port: int, option: str) -> None:
    """For a server that opens its port itself: raises LoadFailed now rather than later."""
    claim(host, port, option).close()
