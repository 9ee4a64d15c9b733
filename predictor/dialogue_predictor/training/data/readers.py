"""Dialogues from files: the corpora's format, plain JSONL and CSV exports, plain or gzip.

Files are read line by line and never held: a corpus may be larger than memory. A malformed record is left out, counted
and described by file, line and field; more of them than allowed are an error.
"""

import csv
import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

from dialogue_predictor.text.dialogue import Role
from dialogue_predictor.training.data.dialogues import Dialogue, Language, Utterance
from dialogue_predictor.training.data.facts import record_lines, triple_line

SUFFIXES = (".jsonl", ".jsonl.gz", ".csv", ".csv.gz")
COLUMNS = ("dialogue", "speaker", "text")
USER: tuple[str, ...] = ("user", "customer", "client", "human", "caller", "visitor", "usr")
ASSISTANT: tuple[str, ...] = ("assistant", "system", "agent", "bot", "operator", "advisor", "sys")
ROLES: Mapping[str, Role] = {
    **dict.fromkeys(USER, "user"),
    **dict.fromkeys(ASSISTANT, "assistant"),
}
HAN, LETTER = re.compile(r"[\u3400-\u9fff]"), re.compile(r"[^\W\d_]")
HAN_SHARE = 0.2  # of the letters: a Chinese sentence may well hold an English name
SHOWN = 5


@dataclass
class Problems:
    """What was wrong with records so far. `most`: how many may be before reading stops."""

    most: int = 100
    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, problem: str) -> None:
        """Raises ValueError when that is one too many."""
        self.count += 1
        self.first += [problem] if len(self.first) < SHOWN else []
        if self.count > self.most:
            listed = "; ".join(self.first)
            raise ValueError(f"{listed}: more than {self.most} malformed records; mend them or raise --max-errors")


class Malformed(ValueError):
    """A record that is no dialogue; the message names the field."""


def read_dialogues(path: Path, problems: Problems, language: Language | None = None) -> Iterator[Dialogue]:
    """The dialogues of a file in their order. `language`: that of dialogues that name none; else it is told by script.

    Raises ValueError on an unknown suffix, a broken gzip file, or more problems than `problems` allows.
    """
    suffix = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    if suffix not in SUFFIXES:
        raise ValueError(f"{path}: cannot read {suffix or 'a file without a suffix'}: expected {', '.join(SUFFIXES)}")
    records = csv_records(path, problems) if suffix.startswith(".csv") else json_records(path, problems)
    for line, record in records:
        try:
            yield dialogue_of(record, f"{path.name}:{line}", language)
        except Malformed as error:
            problems.add(f"{path}:{line}: {error}")


def lines_of(path: Path, problems: Problems) -> Iterator[tuple[int, str]]:
    """Numbered lines of a UTF-8 file; those that are not UTF-8 are problems."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        try:
            for number, line in enumerate(file, start=1):
                try:
                    yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    problems.add(f"{path}:{number}: line: not UTF-8 ({error.reason})")
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: not a whole gzip file: {error}") from error


def json_records(path: Path, problems: Problems) -> Iterator[tuple[int, Any]]:
    for number, line in lines_of(path, problems):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (json.JSONDecodeError, RecursionError) as error:
                problems.add(f"{path}:{number}: line: not JSON ({str(error)[:80]})")


def csv_records(path: Path, problems: Problems) -> Iterator[tuple[int, Any]]:
    """Consecutive rows of one `dialogue` are one dialogue. Raises ValueError when a column is missing."""
    rows = csv.reader(line for _, line in lines_of(path, problems))
    header = [name.strip().lower() for name in next(rows, [])]
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise ValueError(f"{path}:1: column {missing[0]} is missing; expected {','.join(COLUMNS)}[,language]")

    def whole() -> Iterator[tuple[int, dict[str, str]]]:
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                problems.add(f"{path}:{rows.line_num}: row: {error}")
                continue
            if len(row) == len(header):
                yield rows.line_num, dict(zip(header, row, strict=True))
            elif row:
                problems.add(f"{path}:{rows.line_num}: row: has {len(row)} fields, expected {len(header)}")

    for name, group in groupby(whole(), key=lambda row: row[1]["dialogue"]):
        numbered = list(group)
        turns = [{"speaker": row["speaker"], "text": row["text"]} for _, row in numbered]
        yield numbered[0][0], {"id": name, "language": numbered[0][1].get("language"), "turns": turns}


def dialogue_of(record: Any, name: str, language: Language | None) -> Dialogue:
    """Raises Malformed. `name`: the id of a record that has none."""
    if not isinstance(record, dict):
        raise Malformed("record: expected an object with turns")
    turns = record.get("turns")
    if not isinstance(turns, list) or not turns:
        raise Malformed("turns: expected a list of at least one turn")
    spoken = utterances_of(turns)
    if not spoken:
        raise Malformed("turns: nobody but the system says anything")
    declared = record.get("language") or language or language_of(" ".join(turn.text for turn in spoken))
    if not isinstance(declared, str) or declared[:2] not in get_args(Language):
        raise Malformed(f"language: {declared!r} is not one of {', '.join(get_args(Language))}")
    topic = record.get("topic") or ",".join(map(str, record.get("services") or ()))
    tongue: Language = "zh" if declared.startswith("zh") else "en"
    return Dialogue(str(record.get("id") or name), str(record.get("corpus") or "own"), tongue, str(topic), spoken)


def utterances_of(turns: list[Any]) -> tuple[Utterance, ...]:
    """Turns with roles. A `system` role (not speaker) tells facts for all later turns of the assistant."""
    known: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    speakers: dict[str, Role] = {}
    result: list[Utterance] = []
    for at, turn in enumerate(turns):
        if not isinstance(turn, dict):
            raise Malformed(f"turns[{at}]: expected an object with role and text")
        text = turn.get("text")
        if not isinstance(text, str) or not text.strip():
            raise Malformed(f"turns[{at}].text: expected a text that is not empty")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Malformed(f"turns[{at}].text: holds half a character (a lone surrogate)") from None
        if turn.get("role") == "system":
            known += tuple(line for line in text.splitlines() if line.strip())
            continue
        role = role_of(turn, at, speakers)
        told = facts_of(turn, at)
        if "call" in turn:
            found = told
        facts = told or (found if role == "assistant" else ())
        intents = list_of(turn, "intents", at)
        if not all(isinstance(intent, str) for intent in intents):
            raise Malformed(f"turns[{at}].intents: expected texts, as Service/Intent")
        known_now = known if role == "assistant" else ()
        result.append(Utterance(role, text.strip(), (*known_now, *facts), tuple(intents)))
    return tuple(result)


def role_of(turn: Mapping[str, Any], at: int, speakers: dict[str, Role]) -> Role:
    """By a known word for the role; another name has the role that is free, the user's first."""
    key = "role" if "role" in turn else "speaker"
    name = turn.get(key)
    if not isinstance(name, str) or not name.strip():
        raise Malformed(f"turns[{at}].{key}: expected who speaks, as user or assistant")
    if name not in speakers:
        taken = speakers.values()
        free: Role | None = "user" if "user" not in taken else "assistant" if "assistant" not in taken else None
        role = ROLES.get(name.strip().lower(), free)
        if role is None:
            raise Malformed(f"turns[{at}].{key}: {name!r} is a third speaker; a dialogue has two")
        speakers[name] = role
    return speakers[name]


def facts_of(turn: Mapping[str, Any], at: int) -> tuple[str, ...]:
    """Lines as they are, records and triples as lines."""
    facts = list_of(turn, "facts", at)
    if all(isinstance(fact, str) for fact in facts):
        return tuple(facts)
    if all(isinstance(fact, dict) for fact in facts):
        call = turn.get("call")
        return record_lines(facts, call.get("parameters", {}) if isinstance(call, dict) else {})
    if all(isinstance(fact, list) and len(fact) == 3 for fact in facts):
        return tuple(triple_line(*map(str, fact)) for fact in facts)
    raise Malformed(f"turns[{at}].facts: expected lines, records or triples, of one kind")


def list_of(turn: Mapping[str, Any], key: str, at: int) -> list[Any]:
    value = turn.get(key) or []
    if not isinstance(value, list):
        raise Malformed(f"turns[{at}].{key}: expected a list")
    return value


def language_of(text: str) -> Language:
    """By script: Chinese when at least a fifth of the letters are Han characters."""
    letters = len(LETTER.findall(text))
    return "zh" if letters and len(HAN.findall(text)) >= HAN_SHARE * letters else "en"


def record_of(dialogue: Dialogue) -> dict[str, Any]:
    """A dialogue as `read_dialogues` reads it back."""
    turns = []
    for turn in dialogue.turns:
        record: dict[str, Any] = {"role": turn.role, "text": turn.text}
        record |= {"facts": list(turn.facts)} if turn.facts else {}
        record |= {"intents": list(turn.intents)} if turn.intents else {}
        turns.append(record)
    return {"id": dialogue.id, "language": dialogue.language, "topic": dialogue.topic, "turns": turns}
