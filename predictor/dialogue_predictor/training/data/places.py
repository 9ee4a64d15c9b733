"""CrossWOZ's database of places, and their names, dishes and facilities in texts."""

import gzip
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

Record = Mapping[str, Any]

DOMAINS = {"酒店": "hotel", "餐馆": "restaurant", "景点": "attraction"}
MONEY = {"酒店": "价格", "餐馆": "人均消费", "景点": "门票"}
LISTED = 5  # members of a list that are told


@dataclass(frozen=True)
class Places:
    """The records of every domain, in the database's order, which is that of their fame."""

    records: Mapping[str, Sequence[Record]]

    @cached_property
    def by_name(self) -> dict[str, Record]:
        everyone = (record for records in self.records.values() for record in records)
        return {record["名称"]: record for record in everyone if record["名称"] not in self.facilities}  # "酒吧"

    @cached_property
    def names(self) -> "Words":
        return Words.of(self.by_name)

    @cached_property
    def serving(self) -> dict[str, frozenset[str]]:
        """The restaurants of each dish."""
        found: dict[str, set[str]] = {}
        for record in self.records.get("餐馆", ()):
            for dish in record["推荐菜"]:
                found.setdefault(dish, set()).add(record["名称"])
        return {dish: frozenset(names) for dish, names in found.items() if len(dish) > 1 and dish != "其他"}

    @cached_property
    def dishes(self) -> "Words":
        return Words.of(self.serving)

    @cached_property
    def facilities(self) -> frozenset[str]:
        named = (one for record in self.records.get("酒店", ()) for one in record.get("酒店设施") or ())
        return frozenset(one for one in named if one.strip())


@dataclass(frozen=True)
class Words:
    """Words to find in texts. `lengths`: those of the words that start with these two characters, the longest first."""

    words: Collection[str]
    lengths: Mapping[str, Sequence[int]]

    @classmethod
    def of(cls, words: Iterable[str]) -> "Words":
        known = frozenset(words)
        starts: dict[str, set[int]] = {}
        for word in known:
            starts.setdefault(word[:2], set()).add(len(word))
        return cls(known, {start: sorted(lengths, reverse=True) for start, lengths in starts.items()})


def words_in(text: str, words: Words) -> list[str]:
    """Those of the words that are in the text, in its order, the longest at each position."""
    found: list[str] = []
    at = 0
    while at < len(text) - 1:
        for length in words.lengths.get(text[at : at + 2], ()):
            if text[at : at + length] in words.words:
                found.append(text[at : at + length])
                at += length - 1
                break
        at += 1
    return found


def read_places(folder: Path) -> Places:
    """The database of a CrossWOZ folder; empty where it is not there."""
    files = {domain: folder / f"database_{name}.jsonl.gz" for domain, name in DOMAINS.items()}
    return Places({domain: read_records(path) for domain, path in files.items() if path.exists()})


def read_records(path: Path) -> list[Record]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def value_of(record: Record, attribute: str) -> str:
    """As an answer words it; `无` where the database has nothing."""
    value = record[attribute]
    if isinstance(value, list):
        return "、".join(one for one in value[:LISTED] if one.strip()) or "无"
    if value is None:
        return "无"
    if attribute == "评分":
        return f"{value}分"
    if attribute in MONEY.values():
        return "免费" if attribute == "门票" and not value else f"{value}元"
    return str(value)
