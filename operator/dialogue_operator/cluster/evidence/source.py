"""Where evidence comes from, as whoever asks for it sees it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.api.rollout import Gate
from dialogue_operator.rollout.evidence import Evidence


class Source(Protocol):
    """What revisions did since a moment."""

    async def gather(
        self,
        model: DialogueModel,
        revisions: Mapping[str, str],
        since: datetime,
        rollout_id: int,
        step: int,
        gates: Sequence[Gate],
    ) -> Evidence:
        """Of these revisions (each with the revision that has the pods), what these gates look at.

        Ends within seconds and raises nothing: what could not be had is missing, and `problem` says why.
        """
