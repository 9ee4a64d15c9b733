"""What becomes of text on its way to a model: slips of the finger, cut ends, other scripts, broken characters.

Pure: a text, a strength in 0..1 and a generator give a text. A strength is the share of characters (of words for mixed
scripts, of the text's length for truncation) that is harmed; 0 harms nothing.
"""

import random
import unicodedata
from collections.abc import Callable, Mapping

Noise = Callable[[str, float, random.Random], str]

ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
BESIDE: Mapping[str, str] = {
    char: row[max(0, at - 1) : at] + row[at + 1 : at + 2] for row in ROWS for at, char in enumerate(row)
}
OTHER_WORDS = {
    "latin": ("请问", "谢谢", "你好", "这个", "可以"),
    "han": (" please ", " ok ", " the ", " thanks ", " one "),
}
JUNK = "#*~^_|�§¤\u200b"


def typos(text: str, strength: float, draw: random.Random) -> str:
    """Characters swapped with the next, left out, doubled or, on a keyboard of Latin letters, hit beside."""
    result: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        kind = draw.choice(("swap", "drop", "double", "beside")) if draw.random() < strength else "keep"
        if kind == "swap" and at + 1 < len(text):
            result += [text[at + 1], char]
            at += 1
        elif kind == "double":
            result += [char, char]
        elif kind == "beside":
            result.append(draw.choice(BESIDE.get(char.lower(), char)))
        elif kind == "keep":
            result.append(char)
        at += 1
    return "".join(result)


def truncation(text: str, strength: float, draw: random.Random) -> str:
    """The end is cut off, as where a message is sent too early; something is always left."""
    return text[: max(1, round(len(text) * (1 - strength)))]


def mixed_scripts(text: str, strength: float, draw: random.Random) -> str:
    """Words of the other language come in between, and Latin letters and digits turn full-width."""
    han = any("CJK" in unicodedata.name(char, "") for char in text)
    result: list[str] = []
    for piece in text if han else text.split(" "):
        if draw.random() < strength:
            result.append(draw.choice(OTHER_WORDS["han" if han else "latin"]))
        result.append(full_width(piece) if draw.random() < strength else piece)
    return ("" if han else " ").join(result)


def characters(text: str, strength: float, draw: random.Random) -> str:
    """Characters become ones that mean nothing, as after a wrong decoding."""
    return "".join(draw.choice(JUNK) if draw.random() < strength else char for char in text)


def full_width(text: str) -> str:
    """The printable ASCII characters but the blank as their full-width twins."""
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)


KINDS: Mapping[str, Noise] = {
    "typos": typos,
    "truncation": truncation,
    "mixed scripts": mixed_scripts,
    "characters": characters,
}
STRENGTHS = (0.05, 0.1, 0.2)
