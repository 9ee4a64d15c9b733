"""Who answers a request, read from its headers or metadata: the first thing that is known of it.

Headers that only the gateway sets are never an error of the client's: what cannot be read is left out, and logged.
"""

import logging
import random
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Generic, TypeVar

from dialogue_predictor import names
from dialogue_predictor.serving.arms import Arm, choose, read_variants
from dialogue_predictor.serving.codecs.callers import UNNAMED, Caller
from dialogue_predictor.serving.metrics import Metrics
from dialogue_predictor.serving.shadow import Shadow, read_shadow

log = logging.getLogger("dialogue.serving")
Value = TypeVar("Value")

COOKIE = f"{names.COOKIE_REVISION}={{}}; Path=/; HttpOnly; SameSite=Lax; Max-Age=3600"


@dataclass(frozen=True, slots=True)
class Assigned:
    """A request's arm, where a copy of it goes, whether the answer sets a cookie, and who asks."""

    arm: Arm
    shadow: Shadow | None = None
    cookie: bool = False
    caller: Caller = UNNAMED


current: ContextVar[Assigned] = ContextVar("current")  # of the request that is being answered


class Reception:
    def __init__(self, own: Arm, metrics: Metrics, dice: Callable[[], float] = random.random) -> None:
        self.own = own
        self._metrics = metrics
        self._dice = dice
        self._variants = _Gateway(names.HEADER_ARMS, lambda value: read_variants(value, own.revision))
        self._shadow = _Gateway(names.HEADER_SHADOW, read_shadow)

    def assign(self, headers: Mapping[str, str]) -> Assigned:
        """By the pin, or else by weight; a pin to what is not here is counted as a switch of revisions."""
        variants = self._variants.read(headers) or ()
        arm, switched = choose(self.own, variants, pin_of(headers), 100 * self._dice())
        if switched:
            self._metrics.of(arm.revision).switched()
        return Assigned(arm, self._shadow.read(headers), wants_cookie(headers))

    def pinned(self, headers: Mapping[str, str]) -> Arm | None:
        """The arm that the client names, if it is here."""
        arms = (self.own, *(self._variants.read(headers) or ()))
        pin = pin_of(headers)
        return next((arm for arm in arms if arm.revision == pin), None)


def pin_of(headers: Mapping[str, str]) -> str | None:
    """The revision that the client was told to stay with: the header, or else the cookie."""
    if pin := headers.get(names.HEADER_REVISION):
        return pin
    for pair in headers.get("cookie", "").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == names.COOKIE_REVISION and value:
            return value
    return None


def wants_cookie(headers: Mapping[str, str]) -> bool:
    """A browser, or who asks for it. Never any other client: its cookie jar may serve many users, whom one cookie
    would pin all to the revision of the first."""
    return "sec-fetch-site" in headers or headers.get(names.HEADER_COOKIE) == "1"


class _Gateway(Generic[Value]):
    """A header that the gateway sets, the same for every request for a while: read once."""

    def __init__(self, name: str, read: Callable[[str], Value]) -> None:
        self._name = name
        self._read = read
        self._last: tuple[str, Value | None] | None = None
        self._told = False

    def read(self, headers: Mapping[str, str]) -> Value | None:
        text = headers.get(self._name)
        if text is None:
            return None
        if self._last is None or self._last[0] != text:
            self._last = text, self._parsed(text)
        return self._last[1]

    def _parsed(self, text: str) -> Value | None:
        try:
            return self._read(text)
        except ValueError as error:
            if not self._told:  # once: whoever reaches the pod itself must not fill the log
                log.error("the header %s is ignored: %s", self._name, error)
            self._told = True
            return None
