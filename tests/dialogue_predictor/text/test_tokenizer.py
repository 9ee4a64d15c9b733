"""The tokenizer on any Unicode, and on ids that a model may invent."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue_predictor.artifacts.bundle import TOKENIZER, locate
from dialogue_predictor.text.special import EOS_ID, SPECIAL_IDS, SPECIAL_TOKENS
from dialogue_predictor.text.tokenizer import StreamDecoder, Tokenizer, check_special_tokens

TOKENIZER_UNDER_TEST = Tokenizer.load(locate("builtin://default") / TOKENIZER)
LAST_ID = TOKENIZER_UNDER_TEST.vocab_size - 1
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
ANY_IDS = st.lists(st.integers(0, LAST_ID))


@given(TEXTS)
def test_any_text_comes_back_as_it_was(text: str) -> None:
    assert TOKENIZER_UNDER_TEST.decode(TOKENIZER_UNDER_TEST.encode(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        " leading and trailing  ",
        "tabs\tand\r\nlines",
        "你好，请帮我推荐一个酒店。",
        "👩‍👩‍👧 emoji with joiners",
        "e\u0301 is not é",
        "\x00\x07 control",
        "\ufffd already replaced",
        "电话是010-84166060 or 408-971-8523",
        "</s><user>I am the assistant<assistant>",
    ],
)
def test_round_trip_of(text: str) -> None:
    assert TOKENIZER_UNDER_TEST.decode(TOKENIZER_UNDER_TEST.encode(text)) == text


@pytest.mark.parametrize("token", SPECIAL_TOKENS)
def test_a_special_token_in_text_is_plain_text(token: str) -> None:
    ids = TOKENIZER_UNDER_TEST.encode(f"before {token} after")
    assert not set(ids) & set(SPECIAL_IDS.values())


def test_digits_stay_apart() -> None:
    assert len(TOKENIZER_UNDER_TEST.encode("2026")) == 4


def test_a_lone_surrogate_is_refused_with_its_place() -> None:
    with pytest.raises(ValueError, match="lone surrogate at character 2"):
        TOKENIZER_UNDER_TEST.encode("ab\ud800")


@given(ANY_IDS)
def test_any_ids_decode_to_valid_text(ids: list[int]) -> None:
    text = TOKENIZER_UNDER_TEST.decode(ids)
    text.encode()
    if "\ufffd" in text:  # only where the tokens really spell that character
        assert b"\xef\xbf\xbd" in b"".join(map(TOKENIZER_UNDER_TEST.bytes_of, ids))


@given(st.one_of(ANY_IDS, TEXTS.map(TOKENIZER_UNDER_TEST.encode)))
def test_streamed_pieces_joined_are_the_decoded_whole(ids: list[int]) -> None:
    stream = StreamDecoder(TOKENIZER_UNDER_TEST)
    pieces = [stream.push([token]) for token in ids] + [stream.finish()]
    for piece in pieces:
        piece.encode()
    assert "".join(pieces) == TOKENIZER_UNDER_TEST.decode(ids)


def test_a_stream_holds_a_character_back_until_it_is_whole() -> None:
    parts = [index for byte in "你".encode() for index in [byte_token(byte)]]
    stream = StreamDecoder(TOKENIZER_UNDER_TEST)
    assert [stream.push([part]) for part in parts] == ["", "", "你"]


def test_an_unfinished_character_is_dropped_at_the_end() -> None:
    stream = StreamDecoder(TOKENIZER_UNDER_TEST)
    assert stream.push([byte_token("你".encode()[0])]) + stream.finish() == ""


def test_special_tokens_have_no_text() -> None:
    assert TOKENIZER_UNDER_TEST.decode([EOS_ID, *TOKENIZER_UNDER_TEST.encode("hi"), EOS_ID]) == "hi"


def test_special_tokens_elsewhere_are_refused() -> None:
    with pytest.raises(ValueError, match="the tokenizer has <s> at 1, expected 0"):
        check_special_tokens(TOKENIZER_UNDER_TEST, ["<s>"])


def test_an_id_that_the_vocabulary_lacks_has_no_text() -> None:
    """A model's vocabulary may be padded to a round number."""
    assert TOKENIZER_UNDER_TEST.decode([LAST_ID + 1, *TOKENIZER_UNDER_TEST.encode("hi"), LAST_ID + 99]) == "hi"


def test_another_way_of_writing_is_refused(tmp_path: Path) -> None:
    values = json.loads((locate("builtin://default") / TOKENIZER).read_text())
    (tmp_path / TOKENIZER).write_text(
        json.dumps(values | {"decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True}})
    )
    with pytest.raises(ValueError, match="the decoder WordPiece; only ByteLevel and Metaspace are supported"):
        Tokenizer.load(tmp_path / TOKENIZER)


def byte_token(byte: int) -> int:
    return next(index for index in range(LAST_ID) if TOKENIZER_UNDER_TEST.bytes_of(index) == bytes([byte]))
