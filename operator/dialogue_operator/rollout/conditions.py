"""Conditions: what `kubectl wait` and people on call read. Derived from a status, never read back by a decision."""

from datetime import datetime

from dialogue_operator.api.status import Condition, ConditionStatus, DialogueModelStatus
from dialogue_operator.rollout.timing import format_time


def condition(type_: str, status: bool | None, reason: str, message: str, generation: int) -> Condition:
    """A condition without its time, which `with_conditions` sets."""
    word: ConditionStatus = "Unknown" if status is None else ("True" if status else "False")
    return Condition(
        type=type_,
        status=word,
        reason=reason,
        message=message[:1024],
        observed_generation=generation,
        last_transition_time="",
    )


def with_conditions(
    status: DialogueModelStatus,
    before: tuple[Condition, ...],
    conditions: tuple[Condition, ...],
    now: datetime,
) -> DialogueModelStatus:
    """The status with these conditions; a time moves only where `status` of its condition does."""
    old = {c.type: c for c in before}
    timed = tuple(
        new.model_copy(
            update={
                "last_transition_time": old[new.type].last_transition_time
                if new.type in old and old[new.type].status == new.status
                else format_time(now)
            }
        )
        for new in conditions
    )
    return status.model_copy(update={"conditions": timed})
