"""The corpora: where each comes from, its licence, and how its files become dialogues.

One table, because the same facts pick the files, decide the split and are printed on the model's card. A corpus with
a validation file of its own keeps it; the others are split by dialogue with a hash, so that the split depends
neither on the order of the files nor on what else is read.
"""

import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dialogue_predictor.text.dialogue import Role, Turn

Language = Literal["en", "zh"]
Split = Literal["train", "validation"]
SPEAKERS: dict[str, Role] = {"user": "user", "system": "assistant"}


@dataclass(frozen=True, slots=True)
class Corpus:
    """`files` are split by dialogue with `validation_share`; `validation_files` are validation as they are."""

    name: str
    title: str
    origin: str
    licence: str
    languages: tuple[Language, ...]
    files: tuple[str, ...]
    validation_files: tuple[str, ...] = ()
    validation_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Dialogue:
    id: str
    corpus: str
    language: Language
    topic: str
    turns: tuple[Turn, ...]


CORPORA: tuple[Corpus, ...] = (
    Corpus(
        "sgd",
        "Schema-Guided Dialogue (DSTC8)",
        "Google Research",
        "CC BY-SA 4.0",
        ("en",),
        ("sgd/train.jsonl.gz",),
        ("sgd/dev.jsonl.gz",),
    ),
    Corpus("kdconv", "KdConv", "THU CoAI", "Apache-2.0", ("zh",), ("kdconv/dev.jsonl.gz",), (), 0.2),
    Corpus("crosswoz", "CrossWOZ", "THU CoAI", "Apache-2.0", ("zh",), ("crosswoz/dev.jsonl.gz",), (), 0.2),
    Corpus(
        "smalltalk",
        "chatterbot-corpus",
        "Gunther Cox and contributors",
        "BSD-3-Clause",
        ("en", "zh"),
        ("smalltalk/english.jsonl.gz", "smalltalk/chinese.jsonl.gz"),
        (),
        0.05,
    ),
)


def read_jsonl(path: Path) -> Iterator[Any]:
    """One JSON value a line, gzip, UTF-8."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def read_corpora(data: Path) -> dict[Split, list[Dialogue]]:
    """Every dialogue of the corpora found under `data`. Raises FileNotFoundError when none is there."""
    splits: dict[Split, list[Dialogue]] = {"train": [], "validation": []}
    for corpus in CORPORA:
        for name in corpus.files:
            for dialogue in read_file(data / name, corpus):
                held_out = share_of(dialogue.id) < corpus.validation_share
                splits["validation" if held_out else "train"].append(dialogue)
        for name in corpus.validation_files:
            splits["validation"].extend(read_file(data / name, corpus))
    if not splits["train"]:
        wanted = ", ".join(name for corpus in CORPORA for name in corpus.files)
        raise FileNotFoundError(f"no corpus under {data}: expected any of {wanted}")
    return splits


def read_file(path: Path, corpus: Corpus) -> Iterator[Dialogue]:
    """The dialogues of one file; nothing when the file is not there, as not everyone has every corpus."""
    if not path.exists():
        return
    for record in read_jsonl(path):
        turns = tuple(Turn(SPEAKERS[turn["speaker"]], turn["text"].strip()) for turn in record["turns"])
        topic = ",".join(record.get("services", ()))
        yield Dialogue(record["id"], corpus.name, record["language"], topic, turns)


def share_of(key: str) -> float:
    """A number in [0, 1) that depends on the key alone."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6], "big") / 2**48
