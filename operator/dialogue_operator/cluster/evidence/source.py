"""Where evidence comes from, as whoever asks for it sees it."""

from typing import Protocol

from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.rollout.evidence import Evidence
from dialogue_operator.rollout.questions import Count


class Source(Protocol):
    """What revisions did since a moment."""

    async def gather(self, model: DialogueModel, asked: Count) -> Evidence:
        """Ends within seconds and raises nothing: what could not be had is missing, and `problem` says why."""
