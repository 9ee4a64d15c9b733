"""Corpora of a few dialogues, in the files and the format of the real ones."""

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Record = Mapping[str, Any]

TINY_FLAGS = (
    *("--d-model", "16", "--ffn", "16", "--heads", "2", "--encoder-layers", "1", "--decoder-layers", "1"),
    *("--vocabulary", "400"),
)
"""A model for them, as flags of `dialogue train`."""

ENGLISH = (
    ("I need a cheap restaurant.", "Which city should the restaurant be in?"),
    ("Find me a hotel for two nights.", "Where would you like to stay?"),
    ("Book a flight to Paris.", "When do you want to fly?"),
    ("Is there a bus on Monday?", "The bus leaves at ten."),
)
CHINESE = (
    ("请推荐一家酒店。", "推荐您去北京饭店。"),
    ("附近有餐馆吗？", "附近有全聚德。"),
    ("门票多少钱？", "门票是60元。"),
    ("谢谢！", "不客气。"),
)


def dialogue(name: str, language: str, *texts: str) -> Record:
    turns = [{"speaker": "user" if at % 2 == 0 else "system", "text": text} for at, text in enumerate(texts)]
    return {"id": name, "language": language, "services": ["test"], "turns": turns}


def write_jsonl(path: Path, records: Iterable[Record]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def write_corpora(data: Path) -> Path:
    """SGD with a validation file, and CrossWOZ dialogues that are split by their names."""
    write_jsonl(data / "sgd/train.jsonl.gz", (dialogue(f"t{at}", "en", *pair) for at, pair in enumerate(ENGLISH)))
    write_jsonl(data / "sgd/dev.jsonl.gz", [dialogue("d0", "en", *ENGLISH[0], *ENGLISH[1])])
    write_jsonl(data / "crosswoz/dev.jsonl.gz", (dialogue(f"z{at}", "zh", *CHINESE[at % 4]) for at in range(40)))
    return data
