"""What one decision is about, and the shape of its parts."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.api.status import DialogueModelStatus, RolloutStatus
from dialogue_operator.api.values import parse_duration
from dialogue_operator.rollout.observed import Observed
from dialogue_operator.rollout.plan import Announcement
from dialogue_operator.rollout.timing import parse_time

Said: TypeAlias = tuple[Announcement, ...]
Outcome: TypeAlias = tuple[DialogueModelStatus, Said]


@dataclass(frozen=True)
class Case:
    """Wanted, observed, now. The recorded status goes from part to part, each of which may move it on."""

    model: DialogueModel
    observed: Observed
    now: datetime
    default_image: str

    def is_due(self, since: str, *durations: str | timedelta) -> bool:
        """So long has passed since then."""
        spans = (parse_duration(one) if isinstance(one, str) else one for one in durations)
        return self.now >= parse_time(since) + sum(spans, timedelta())

    def is_ready(self, status: DialogueModelStatus, revision: str | None, count: int = 1) -> bool:
        """It may be given traffic: KServe says that all is well, and so many pods are there to take it."""
        seen = self.observed.of(status, revision)
        return self.answers(status, revision) and seen is not None and seen.ready and seen.ready_replicas >= count

    def answers(self, status: DialogueModelStatus, revision: str | None) -> bool:
        """It may keep its traffic: some pod is there. While a revision grows, KServe says for a while that it is not ready."""
        seen = self.observed.of(status, revision)
        return seen is not None and not seen.deleting and seen.ready_replicas > 0


Part: TypeAlias = Callable[[Case, DialogueModelStatus], Outcome]


def normal(reason: str, message: str) -> Said:
    return (Announcement("Normal", reason, message),)


def warning(reason: str, message: str) -> Said:
    return (Announcement("Warning", reason, message),)


def with_rollout(status: DialogueModelStatus, **changes: object) -> DialogueModelStatus:
    """The status with these fields of its rollout changed."""
    rollout: RolloutStatus = status.rollout.model_copy(update=changes)
    return status.model_copy(update={"rollout": rollout})
