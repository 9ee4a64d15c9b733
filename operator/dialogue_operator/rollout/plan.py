"""What shall be: the answer of a decision, as data."""

from dataclasses import dataclass

from dialogue_operator.api.spec import ServingSpec
from dialogue_operator.api.status import DialogueModelStatus


@dataclass(frozen=True)
class RevisionPlan:
    """A revision that shall have pods."""

    revision: str
    serving: ServingSpec
    replicas: int


@dataclass(frozen=True)
class Plan:
    """Desired objects. `traffic` sums to 100, or is empty: then routes stay as they are, or are not made yet."""

    revisions: tuple[RevisionPlan, ...] = ()
    traffic: tuple[tuple[str, int], ...] = ()
    pinned: tuple[str, ...] = ()  # these answer their own conversations, whoever has the new ones
    prune: tuple[str, ...] = ()  # revisions whose objects go; the gateway sends nothing to any of them


@dataclass(frozen=True)
class Announcement:
    """An Event to be: `kind` is Normal or Warning."""

    kind: str
    reason: str
    message: str


@dataclass(frozen=True)
class Decision:
    """New status first (it is recorded before anything is applied), then the plan, then what to say and when to look again."""

    status: DialogueModelStatus
    plan: Plan
    announcements: tuple[Announcement, ...] = ()
    wake_after: float | None = None  # seconds
