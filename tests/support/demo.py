"""What the e2e tests know of the running demo."""

from dataclasses import dataclass

from demo.talk import Place


@dataclass(frozen=True)
class Demo:
    """What `make demo` printed, and where its model answers now."""

    printed: str
    place: Place
