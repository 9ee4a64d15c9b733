"""Sub-words: text to ids and back, for our byte-level BPE and for the tokenizers of checkpoints from elsewhere.

With ours every Unicode text has ids, and every run of ids is valid text again. Text is never parsed for special tokens:
a user who types `</s>` gets the ids of its characters, so nobody can end a turn or speak for the assistant from inside a
message. Decoding joins bytes itself and drops what is not UTF-8, because a model may stop in the middle of a character.
"""

import codecs
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer as Subwords
from tokenizers import decoders

from dialogue_predictor.text.special import SPECIAL_TOKENS

SPACE: Final = b" "


def byte_of_symbol() -> dict[str, int]:
    """The printable symbol that byte-level BPE writes for each byte (GPT-2's table), inverted."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    table = {chr(byte): byte for byte in printable}
    table.update({chr(256 + index): byte for index, byte in enumerate(others)})
    return table


class Tokenizer:
    """Text to ids and back. Ours makes a round trip of any text without lone surrogates: `decode(encode(text)) == text`.

    Those from elsewhere normalise text and may know only some characters. They spell words in bytes (`ByteLevel`), or in
    pieces that write a space as a symbol (`Metaspace`), of which a text's first one is left out.
    """

    def __init__(self, subwords: Subwords, unknown: int | None = None) -> None:
        """`unknown`: the id of what the vocabulary does not know. Raises ValueError when it cannot be decoded."""
        subwords.no_padding()
        subwords.no_truncation()
        subwords.encode_special_tokens = True  # "special tokens in text are plain text"
        self._subwords = subwords
        self._unknown = unknown
        vocabulary: dict[str, int] = subwords.get_vocab(with_added_tokens=True)
        self.vocab_size: int = 1 + max(vocabulary.values(), default=-1)
        added: dict[int, Any] = subwords.get_added_tokens_decoder()
        self._special = frozenset(token for token, how in added.items() if how.special)
        self._bytes = self._token_bytes(vocabulary)
        spaced = isinstance(subwords.decoder, decoders.Metaspace)
        self.drops_first_space: bool = spaced and subwords.decoder.prepend_scheme != "never"

    @classmethod
    def load(cls, path: Path | str) -> "Tokenizer":
        """Read a `tokenizer.json` of ours. Raises ValueError when it is none or has other special tokens."""
        tokenizer = cls(read(path))
        check_special_tokens(tokenizer)
        return tokenizer

    @classmethod
    def load_any(cls, path: Path | str) -> "Tokenizer":
        """Read the `tokenizer.json` of a checkpoint from elsewhere. Raises ValueError saying what is not supported."""
        subwords = read(path)
        model: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))["model"]
        unknown = model.get("unk_id")
        if unknown is None and isinstance(name := model.get("unk_token"), str):
            unknown = subwords.token_to_id(name)
        return cls(subwords, unknown)

    def save(self, path: Path | str) -> None:
        self._subwords.save(str(path), pretty=False)

    def encode(self, text: str) -> list[int]:
        """Ids of the text alone. Raises ValueError on a lone surrogate, which no UTF-8 text can hold."""
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"text has a lone surrogate at character {error.start}") from error
        ids: list[int] = self._subwords.encode(text, add_special_tokens=False).ids
        if self._special.isdisjoint(ids):
            return ids
        # A unigram vocabulary has its special tokens among the words, where text can spell them.
        known = (self._unknown if token in self._special else token for token in ids)
        return [token for token in known if token is not None]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of the ids; special tokens and bytes that make no character are left out."""
        stream = StreamDecoder(self)
        return stream.push(ids) + stream.finish()

    def bytes_of(self, token: int) -> bytes:
        """The bytes that one token stands for; empty for a special token and for an id that has none."""
        return self._bytes[token] if token < self.vocab_size else b""

    def special_id(self, token: str) -> int:
        """The id of a special token by its name, as `</s>`. Raises KeyError when there is none."""
        found = self._subwords.token_to_id(token)
        if found is None:
            raise KeyError(token)
        return int(found)

    def word(self, token: int) -> str:
        """A token as the vocabulary writes it; empty where there is none."""
        return str(self._subwords.id_to_token(token) or "")

    def make_special(self, ids: Iterable[int]) -> None:
        """Mark tokens as special, so that once saved and loaded they have no text."""
        self._subwords.add_special_tokens([word for token in sorted(ids) if (word := self.word(token))])

    def around(self) -> tuple[list[int], list[int]]:
        """The special ids that this tokenizer's own template puts before and after a text."""
        whole = self._subwords.encode("a", add_special_tokens=True)
        inside = [place for place, special in enumerate(whole.special_tokens_mask) if not special]
        first, last = (inside[0], inside[-1] + 1) if inside else (0, 0)
        return whole.ids[:first], whole.ids[last:]

    def _token_bytes(self, vocabulary: dict[str, int]) -> list[bytes]:
        spell = speller(self._subwords.decoder)
        result = [b""] * self.vocab_size
        for word, token in vocabulary.items():
            if token not in self._special:
                result[token] = spell(word)
        return result


class StreamDecoder:
    """Text out of ids that arrive one by one: only whole characters leave it, and none is ever taken back.

    The pieces joined are exactly `Tokenizer.decode` of all ids: what a token adds depends on nothing behind it.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="ignore")
        self._at_start = tokenizer.drops_first_space

    def push(self, ids: Iterable[int]) -> str:
        """The characters that these ids complete; empty while one is still unfinished."""
        return self._utf8.decode(b"".join(self._spelled(token) for token in ids))

    def finish(self) -> str:
        """What is left at the end; bytes of an unfinished character are dropped."""
        return self._utf8.decode(b"", final=True)

    def _spelled(self, token: int) -> bytes:
        spelled = self._tokenizer.bytes_of(token)
        if self._at_start and spelled:
            self._at_start = False
            return spelled.replace(SPACE, b"")
        return spelled


def read(path: Path | str) -> Subwords:
    """Raises ValueError when the file is no `tokenizer.json`."""
    try:
        return Subwords.from_file(str(path))
    except Exception as error:  # the Rust library raises bare Exception
        raise ValueError(f"{Path(path).name} is not a tokenizer: {error}") from error


def speller(decoder: Any) -> Callable[[str], bytes]:
    """What a word of the vocabulary stands for. Raises ValueError for a way of writing that is not known here."""
    if isinstance(decoder, decoders.ByteLevel):
        table = byte_of_symbol()

        def in_bytes(word: str) -> bytes:
            if table.keys() >= set(word):
                return bytes(table[symbol] for symbol in word)
            return word.encode()  # an added word is plain text

        return in_bytes
    if isinstance(decoder, decoders.Metaspace):
        return lambda word: word.replace(decoder.replacement, " ").encode()
    kind = "no decoder" if decoder is None else f"the decoder {type(decoder).__name__}"
    raise ValueError(f"the tokenizer has {kind}; only ByteLevel and Metaspace are supported")


def check_special_tokens(tokenizer: Tokenizer, expected: Sequence[str] = SPECIAL_TOKENS) -> None:
    """Raise ValueError unless the special tokens sit at their ids."""
    for index, token in enumerate(expected):
        try:
            found = tokenizer.special_id(token)
        except KeyError:
            raise ValueError(f"the tokenizer has no {token}") from None
        if found != index:
            raise ValueError(f"the tokenizer has {token} at {found}, expected {index}")
