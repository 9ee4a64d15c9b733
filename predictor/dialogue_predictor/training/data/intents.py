"""The intents of Schema-Guided Dialogue: what each is described as, and the turns in which a user first has one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dialogue_predictor.training.data.corpora import read_jsonl
from dialogue_predictor.training.data.dialogues import Split

FILES: Mapping[Split, str] = {"train": "train", "validation": "dev"}


@dataclass(frozen=True, slots=True)
class Intent:
    """`description`: the service's, a colon, the intent's."""

    service: str
    name: str
    description: str

    @property
    def label(self) -> str:
        return f"{self.service}/{self.name}"


def services(data: Path, split: Split) -> list[Intent]:
    """The intents of every service of the split. Raises FileNotFoundError when the corpus is not there."""
    path = data / "sgd" / f"{FILES[split]}_services.json"
    return [
        Intent(entry["service"], name, f"{entry['description']}: {description}")
        for entry in json.loads(path.read_text(encoding="utf-8"))
        for name, description in entry["intents"].items()
    ]


def intent_turns(data: Path, split: Split) -> list[tuple[str, str]]:
    """Texts of users' turns with the intent that begins there, as "Service/Intent".

    Later turns of the same intent ("Yes, please.") say nothing of it. Raises FileNotFoundError as `services`.
    """
    found: list[tuple[str, str]] = []
    for record in read_jsonl(data / "sgd" / f"{FILES[split]}.jsonl.gz"):
        before: frozenset[str] = frozenset()
        for turn in record["turns"]:
            if turn["speaker"] == "user":
                now = frozenset(turn.get("intents", ()))
                if len(now - before) == 1:
                    found.append((turn["text"].strip(), next(iter(now - before))))
                before = now
    return found


def seen_services(data: Path) -> frozenset[str]:
    """Services that training has."""
    return frozenset(intent.service for intent in services(data, "train"))
