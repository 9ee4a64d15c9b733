"""Logs: one plain line an event, to stderr, without requests and without anything that a user said."""

import logging
import sys

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
LOUDEST = {
    "uvicorn": logging.ERROR,  # warns of every malformed request
    "uvicorn.error": logging.ERROR,
    "kserve": logging.CRITICAL,  # logs exceptions with what clients sent
    "kserve.trace": logging.CRITICAL,
    "httpx": logging.WARNING,
}


def configure_logs(level: int = logging.INFO) -> None:
    logging.basicConfig(level=level, format=FORMAT, stream=sys.stderr, force=True)
    for name, least in LOUDEST.items():
        logging.getLogger(name).setLevel(least)
    access = logging.getLogger("uvicorn.access")
    access.handlers.clear()
    access.propagate = False
