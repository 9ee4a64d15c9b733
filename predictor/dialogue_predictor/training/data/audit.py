"""What is in a corpus, counted while it streams past: lengths, languages, duplicates, leaks.

Of every turn and dialogue a 64-bit hash is kept, nothing else, so that a corpus may be larger than memory: eight bytes
a turn.
"""

import re
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from dialogue_predictor.training.data.dialogues import Dialogue, Split
from dialogue_predictor.training.data.readers import language_of

SHINGLE, SKETCH = 6, 8  # characters of a shingle, smallest hashes kept
SHARED, TRIVIAL = 0.8, 12  # of a dialogue's turns; shorter turns are everyone's
QUANTILES = (0.5, 0.9, 0.99, 1.0)


def normalised(text: str) -> str:
    """Lower case, without punctuation and space; every number is 0."""
    return re.sub(r"\d+", "0", re.sub(r"[\W_]+", "", text.lower()))


def hash_of(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def sketch_of(turns: Sequence[str]) -> int:
    """A hash that texts with nearly the same shingles share: that of the smallest ones (Broder 1997)."""
    text = "|".join(turns)
    shingles = {crc32(text[at : at + SHINGLE].encode()) for at in range(max(1, len(text) - SHINGLE + 1))}
    return hash_of(",".join(map(str, sorted(shingles)[:SKETCH])))


def quantiles(counts: Mapping[int, int]) -> dict[str, int]:
    """Values that 50, 90, 99 and 100 % of what was counted do not exceed."""
    total = sum(counts.values())
    found: dict[str, int] = {}
    below = 0
    wanted = list(QUANTILES)
    for value, count in sorted(counts.items()):
        below += count
        while wanted and below >= wanted[0] * total:
            found[f"p{wanted.pop(0) * 100:g}"] = value
    return found


@dataclass
class Audit:
    """Add dialogues, then ask for the summary."""

    splits: Counter[Split] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    other_script: int = 0
    topics: Counter[str] = field(default_factory=Counter)
    turns: Counter[int] = field(default_factory=Counter)
    characters: Counter[int] = field(default_factory=Counter)
    tokens: Counter[int] = field(default_factory=Counter)
    with_facts: int = 0
    same_roles: int = 0
    _names: "array[int]" = field(default_factory=lambda: array("Q"))
    _whole: "dict[Split, array[int]]" = field(default_factory=lambda: {"train": array("Q"), "validation": array("Q")})
    _sketches: "array[int]" = field(default_factory=lambda: array("Q"))
    _trained: "array[int]" = field(default_factory=lambda: array("Q"))
    _validated: "list[array[int]]" = field(default_factory=list)

    def add(self, dialogue: Dialogue, split: Split, tokens: Sequence[int]) -> None:
        """`tokens`: how many each turn has."""
        said = [normalised(turn.text) for turn in dialogue.turns]
        self.splits[split] += 1
        self.languages[dialogue.language] += 1
        self.other_script += language_of(" ".join(turn.text for turn in dialogue.turns)) != dialogue.language
        self.topics[dialogue.topic or "none"] += 1
        self.turns[len(said)] += 1
        self.characters.update(len(turn.text) for turn in dialogue.turns)
        self.tokens.update(tokens)
        self.with_facts += any(turn.facts for turn in dialogue.turns)
        self.same_roles += len({turn.role for turn in dialogue.turns}) < 2
        self._names.append(hash_of(dialogue.id))
        self._whole[split].append(hash_of("|".join(said)))
        self._sketches.append(sketch_of(said))
        hashes = array("Q", (hash_of(text) for text in said if len(text) >= TRIVIAL))
        if split == "train":
            self._trained.extend(hashes)
        else:
            self._validated.append(hashes)

    def summary(self) -> dict[str, object]:
        """Counts and quantiles, ready for JSON."""
        dialogues: dict[str, int] = {"total": sum(self.splits.values())}
        for split in self._whole:
            dialogues[split] = self.splits[split]
        exact = repeats(self._whole["train"], self._whole["validation"])
        return {
            "dialogues": dialogues,
            "languages": {**self.languages, "other script than declared": self.other_script},
            "turns of a dialogue": quantiles(self.turns),
            "characters of a turn": quantiles(self.characters),
            "tokens of a turn": quantiles(self.tokens),
            "turns": sum(self.characters.values()),
            "tokens": sum(value * count for value, count in self.tokens.items()),
            "with facts": self.with_facts,
            "of one speaker alone": self.same_roles,
            "topics given": dict(self.topics.most_common(20)),
            "duplicates": {
                "same id": repeats(self._names),
                "exact": exact,
                "near": repeats(self._sketches) - exact,
            },
            "leaks": self.leaks(),
        }

    def leaks(self) -> dict[str, int]:
        """Validation dialogues that training has whole, and those of whose longer turns it has four fifths."""
        trained = np.unique(numbers(self._trained))
        shares = [float(np.isin(numbers(one), trained).mean()) if one else 0 for one in self._validated]
        whole = np.isin(numbers(self._whole["validation"]), numbers(self._whole["train"]))
        return {"same dialogue": int(whole.sum()), "most turns": sum(share >= SHARED for share in shares)}


def repeats(*hashes: "array[int]") -> int:
    """How many are not the first of their kind."""
    together = np.concatenate([numbers(one) for one in hashes])
    return len(together) - len(np.unique(together))


def numbers(hashes: "array[int]") -> NDArray[np.uint64]:
    """The same memory as a vector."""
    return np.frombuffer(hashes, dtype=np.uint64) if hashes else np.empty(0, dtype=np.uint64)
