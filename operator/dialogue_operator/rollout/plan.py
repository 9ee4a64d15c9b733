"""What shall be: the answer of a decision, as data."""

from dataclasses import dataclass

from dialogue_operator.api.spec import Generation, ServingSpec
from dialogue_operator.api.status import DialogueModelStatus


@dataclass(frozen=True)
class RevisionPlan:
    """A revision that shall have pods."""

    revision: str
    serving: ServingSpec
    replicas: int  # at least
    most: int = 0  # an autoscaler may go up to this; `replicas` or less: the size is fixed


@dataclass(frozen=True)
class Variant:
    """A revision that runs in the pods of another one, and differs from it in decoding alone."""

    revision: str
    pods: str
    generation: Generation


@dataclass(frozen=True)
class Plan:
    """Desired objects. `traffic` sums to 100, or is empty: then routes stay as they are, or are not made yet.

    `traffic`, `pinned`, `shadow` and `preview` name revisions; one that is among `variants` is found in the pods of
    another, all others in pods of their own.
    """

    revisions: tuple[RevisionPlan, ...] = ()  # those that shall have pods of their own
    variants: tuple[Variant, ...] = ()
    traffic: tuple[tuple[str, int], ...] = ()
    pinned: tuple[str, ...] = ()  # these answer their own conversations, whoever has the new ones
    shadow: tuple[str, int] | None = None  # this revision sees so many percent of the conversations, and nobody sees it
    preview: str | None = None  # this revision answers on the preview host
    asleep: bool = False  # requests go by way of KEDA's HTTP add-on, which holds them until a pod is there
    prune: tuple[str, ...] = ()  # revisions whose objects go; the gateway sends nothing to any of them

    def pods_of(self, revision: str) -> str:
        """The revision in whose pods this one runs."""
        return next((variant.pods for variant in self.variants if variant.revision == revision), revision)


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
