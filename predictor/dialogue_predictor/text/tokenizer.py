"""Byte-level BPE: every Unicode text has ids, and every run of ids is valid text again.

Text is never parsed for special tokens: a user who types `</s>` gets the ids of its characters, so nobody can
end a turn or speak for the assistant from inside a message. Decoding joins bytes itself and drops what is not
UTF-8, because a model may stop in the middle of a character.
"""

import codecs
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer as BPETokenizer

from dialogue_predictor.text.special import SPECIAL_TOKENS


def byte_of_symbol() -> dict[str, int]:
    """The printable symbol that byte-level BPE writes for each byte (GPT-2's table), inverted."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    table = {chr(byte): byte for byte in printable}
    table.update({chr(256 + index): byte for index, byte in enumerate(others)})
    return table


class Tokenizer:
    """Text to ids and back. Round trip: `decode(encode(text)) == text` for any text without lone surrogates."""

    def __init__(self, bpe: BPETokenizer) -> None:
        bpe.no_padding()
        bpe.no_truncation()
        bpe.encode_special_tokens = True  # "special tokens in text are plain text"
        self._bpe = bpe
        self.vocab_size: int = bpe.get_vocab_size()
        self._bytes = self._token_bytes()

    @classmethod
    def load(cls, path: Path | str) -> "Tokenizer":
        """Read a `tokenizer.json`. Raises ValueError when it is none or has other special tokens than ours."""
        try:
            bpe = BPETokenizer.from_file(str(path))
        except Exception as error:  # the Rust library raises bare Exception
            raise ValueError(f"{Path(path).name} is not a tokenizer: {error}") from error
        tokenizer = cls(bpe)
        check_special_tokens(tokenizer)
        return tokenizer

    def save(self, path: Path | str) -> None:
        self._bpe.save(str(path), pretty=False)

    def encode(self, text: str) -> list[int]:
        """Ids of the text alone. Raises ValueError on a lone surrogate, which no UTF-8 text can hold."""
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"text has a lone surrogate at character {error.start}") from error
        ids: list[int] = self._bpe.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Text of the ids; special tokens and bytes that make no character are left out."""
        return b"".join(self._bytes[token] for token in ids).decode("utf-8", errors="ignore")

    def bytes_of(self, token: int) -> bytes:
        """The bytes that one token stands for; empty for a special token."""
        return self._bytes[token]

    def special_id(self, token: str) -> int:
        """The id of a special token by its name, as `</s>`. Raises KeyError when there is none."""
        found = self._bpe.token_to_id(token)
        if found is None:
            raise KeyError(token)
        return int(found)

    def _token_bytes(self) -> list[bytes]:
        table = byte_of_symbol()
        added = self._bpe.get_added_tokens_decoder()
        result: list[bytes] = []
        for index in range(self.vocab_size):
            token = self._bpe.id_to_token(index)
            if index in added or token is None:
                result.append(b"")
                continue
            try:
                result.append(bytes(table[symbol] for symbol in token))
            except KeyError as error:
                raise ValueError(f"token {index} is not byte-level: {token!r}") from error
        return result


class StreamDecoder:
    """Text out of ids that arrive one by one: only whole characters leave it.

    The pieces joined are exactly `Tokenizer.decode` of all ids.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="ignore")

    def push(self, ids: Iterable[int]) -> str:
        """The characters that these ids complete; empty while one is still unfinished."""
        return self._utf8.decode(b"".join(self._tokenizer.bytes_of(token) for token in ids))

    def finish(self) -> str:
        """What is left at the end; bytes of an unfinished character are dropped."""
        return self._utf8.decode(b"", final=True)


def check_special_tokens(tokenizer: Tokenizer, expected: Sequence[str] = SPECIAL_TOKENS) -> None:
    """Raise ValueError unless the special tokens sit at their ids."""
    for index, token in enumerate(expected):
        try:
            found = tokenizer.special_id(token)
        except KeyError:
            raise ValueError(f"the tokenizer has no {token}") from None
        if found != index:
            raise ValueError(f"the tokenizer has {token} at {found}, expected {index}")
