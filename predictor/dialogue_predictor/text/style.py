"""How a checkpoint from elsewhere wants its text: what stands around it, what is between turns, what must be said.

Plain data without the tokenizer's library, so that a bundle's config is checked before anything heavy is imported.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PlainText:
    """source = `prefix` text `suffix`, where the text is the turns, oldest first, with `turn_separator` between them.

    Without a separator only the newest turn is read, as translators and summarisers do. The forced ids and `bad_words`
    are those of the checkpoint's `generate`: what every reply begins with, what ends one that reaches its greatest
    length, and sequences that no reply may contain.
    """

    prefix: Ids = ()
    suffix: Ids = ()
    turn_separator: str | None = None
    forced_bos_id: int | None = None
    forced_eos_id: int | None = None
    bad_words: tuple[Ids, ...] = ()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "PlainText":
        """Raises ValueError naming the field that is unknown or not of its type."""
        if unknown := sorted(set(values) - {field.name for field in fields(cls)}):
            raise ValueError(f"unknown field: {', '.join(unknown)}")
        separator = values.get("turn_separator")
        if separator is not None and not isinstance(separator, str):
            raise ValueError(f"turn_separator must be text or null, got {separator!r}")
        return cls(
            prefix=ids_of("prefix", values.get("prefix", [])),
            suffix=ids_of("suffix", values.get("suffix", [])),
            turn_separator=separator,
            forced_bos_id=id_of("forced_bos_id", values.get("forced_bos_id")),
            forced_eos_id=id_of("forced_eos_id", values.get("forced_eos_id")),
            bad_words=tuple(ids_of("bad_words", word, least=1) for word in list_of("bad_words", values)),
        )

    def ids(self) -> Iterator[tuple[str, int]]:
        """Every token id that is named here, with its field."""
        for field in ("prefix", "suffix"):
            yield from ((field, token) for token in getattr(self, field))
        for field in ("forced_bos_id", "forced_eos_id"):
            if (token := getattr(self, field)) is not None:
                yield field, token
        yield from (("bad_words", token) for word in self.bad_words for token in word)


def list_of(field: str, values: Mapping[str, Any]) -> list[Any]:
    found = values.get(field, [])
    if not isinstance(found, list):
        raise ValueError(f"{field} must be a list, got {found!r}")
    return found


def ids_of(field: str, value: Any, least: int = 0) -> Ids:
    if not isinstance(value, list) or len(value) < least or not all(type(token) is int for token in value):
        raise ValueError(f"{field} must be token ids, got {value!r}")
    return tuple(value)


def id_of(field: str, value: Any) -> int | None:
    if value is not None and type(value) is not int:
        raise ValueError(f"{field} must be a token id or null, got {value!r}")
    return value
