"""The corpora: where each comes from, its licence, and how its files become dialogues.

One table, because the same facts pick the files, decide the split and are printed on the model's card. A corpus with
a validation file of its own keeps it; the others are split by dialogue with a hash, so that the split depends
neither on the order of the files nor on what else is read.
"""

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dialogue_predictor.text.dialogue import Role
from dialogue_predictor.training.data.dialogues import Dialogue, Language, Split, Utterance
from dialogue_predictor.training.data.facts import record_lines, triple_line
from dialogue_predictor.training.data.lookup import know
from dialogue_predictor.training.data.places import Places, read_places
from dialogue_predictor.training.data.readers import Problems, read_dialogues

SPEAKERS: dict[str, Role] = {"user": "user", "system": "assistant"}


OWN = "own"
PREPARED: Mapping[Split, str] = {"train": "train.jsonl.gz", "validation": "validation.jsonl.gz"}


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

PLACES = Corpus("bitod", "BiToD, its places", "HKUST CAiRE", "Apache-2.0", ("en",), ())
SOURCES = (*CORPORA, PLACES)
"""What a model that learns from the mixture owes to others."""


def read_jsonl(path: Path) -> Iterator[Any]:
    """One JSON value a line, gzip, UTF-8."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def read_corpora(data: Path) -> dict[Split, list[Dialogue]]:
    """Every dialogue of the corpora found under `data`, and of one's own that was prepared there.

    Raises FileNotFoundError when none is there, ValueError when what was prepared is malformed.
    """
    splits: dict[Split, list[Dialogue]] = {"train": [], "validation": []}
    places = read_places(data / "crosswoz")
    for corpus in CORPORA:
        for name in corpus.files:
            for dialogue in read_file(data / name, corpus, places):
                held_out = share_of(dialogue.id) < corpus.validation_share
                splits["validation" if held_out else "train"].append(dialogue)
        for name in corpus.validation_files:
            splits["validation"].extend(read_file(data / name, corpus, places))
    for split in PREPARED:
        if (data / PREPARED[split]).exists():
            own = read_dialogues(data / PREPARED[split], Problems(0))
            splits[split] += [replace(dialogue, corpus=OWN) for dialogue in own]
    if not splits["train"]:
        wanted = ", ".join([PREPARED["train"], *(name for corpus in CORPORA for name in corpus.files)])
        raise FileNotFoundError(f"no corpus under {data}: expected any of {wanted}")
    return splits


def sources_in(data: Path) -> list[dict[str, Any]]:
    """Name, languages, origin and licence of what a run on `data` learns from, for its model's card."""
    rows: list[dict[str, Any]] = [
        {"name": one.title, "languages": one.languages, "origin": one.origin, "licence": one.licence}
        for one in SOURCES
        if (data / one.name).is_dir()
    ]
    if (data / PREPARED["train"]).exists():
        rows.append({"name": OWN, "licence": "the owner's"})
    return rows


def read_file(path: Path, corpus: Corpus, places: Places) -> Iterator[Dialogue]:
    """The dialogues of one file; nothing when the file is not there, as not everyone has every corpus."""
    if not path.exists():
        return
    for record in read_jsonl(path):
        topic = ",".join(record.get("services", ()))
        dialogue = Dialogue(record["id"], corpus.name, record["language"], topic, utterances(record["turns"]))
        yield replace(dialogue, turns=know(dialogue.turns, places)) if corpus.name == "crosswoz" else dialogue


def utterances(turns: Sequence[Mapping[str, Any]]) -> tuple[Utterance, ...]:
    """Turns with their facts. The records that a call found stay known until the next call; triples are the turn's."""
    found: tuple[str, ...] = ()
    result = []
    for turn in turns:
        if "call" in turn:
            found = record_lines(turn.get("facts", ()), turn["call"].get("parameters", {}))
            known = found
        elif turn.get("facts"):
            known = tuple(triple_line(*fact) for fact in turn["facts"])
        else:
            known = found if turn["speaker"] == "system" else ()
        text = turn["text"].strip()
        result.append(Utterance(SPEAKERS[turn["speaker"]], text, known, tuple(turn.get("intents", ()))))
    return tuple(result)


def share_of(key: str) -> float:
    """A number in [0, 1) that depends on the key alone."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6], "big") / 2**48
