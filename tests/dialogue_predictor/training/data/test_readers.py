"""Reading exports: the same dialogue from every format, and every mistake named by file, line and field."""

import csv
import gzip
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from dialogue_predictor.training.data.dialogues import Dialogue
from dialogue_predictor.training.data.readers import Problems, language_of, read_dialogues, record_of

TURNS = [{"role": "user", "text": "Hi, a table?"}, {"role": "assistant", "text": 'For "two"?'}]
ROWS = [
    ("a", "user", "Hi, a table?"),
    ("a", "assistant", 'For "two"?'),
    ("b", "user", "Hi, a table?"),
    ("b", "assistant", 'For "two"?'),
]


def read(path: Path, content: str | bytes, most: int = 0) -> list[Dialogue]:
    raw = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return list(read_dialogues(path, Problems(most)))


def lines(*records: Any) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def table(*rows: tuple[str, ...], header: tuple[str, ...] = ("dialogue", "speaker", "text")) -> str:
    written = io.StringIO()
    csv.writer(written).writerows([header, *rows])
    return written.getvalue()


def test_every_format_gives_the_same_dialogues(tmp_path: Path) -> None:
    named = [{"speaker": {"user": "user", "assistant": "system"}[turn["role"]], "text": turn["text"]} for turn in TURNS]
    plain = lines({"id": "a", "turns": TURNS}, {"id": "b", "turns": TURNS})
    found = [
        read(tmp_path / "x.jsonl", plain),
        read(tmp_path / "x.jsonl.gz", plain),
        read(tmp_path / "y.jsonl", lines({"id": "a", "language": "en", "turns": named}, {"id": "b", "turns": named})),
        read(tmp_path / "x.csv", table(*ROWS)),
        read(tmp_path / "bom.csv", b"\xef\xbb\xbf" + table(*ROWS).encode()),
        read(
            tmp_path / "x.csv.gz",
            table(*[(*row, "en") for row in ROWS], header=("dialogue", "speaker", "text", "language")),
        ),
    ]
    assert all(one == found[0] for one in found)
    assert [(one.id, one.language, len(one.turns)) for one in found[0]] == [("a", "en", 2), ("b", "en", 2)]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "text": "你好", "intents": ["R/Find"]},
        {"role": "assistant", "text": "您好", "facts": ["故宫 门票 60元"]},
    ]
    (one,) = read(tmp_path / "x.jsonl", lines({"id": "a", "topic": "t", "turns": turns}))
    assert (one.language, one.turns[0].intents, one.turns[1].facts) == ("zh", ("R/Find",), ("故宫 门票 60元",))
    assert read(tmp_path / "y.jsonl", lines(record_of(one))) == [one]


def test_a_system_role_tells_facts_to_the_assistant_alone(tmp_path: Path) -> None:
    turns = [{"role": "system", "text": "Open at 9.\n\nClosed on Monday."}, *TURNS]
    (one,) = read(tmp_path / "x.jsonl", lines({"turns": turns}))
    assert [turn.facts for turn in one.turns] == [(), ("Open at 9.", "Closed on Monday.")]


def test_of_two_named_speakers_the_first_is_the_user(tmp_path: Path) -> None:
    (one,) = read(tmp_path / "x.csv", table(("1", "Ann", "a"), ("1", "Shop", "b"), ("1", "Ann", "c")))
    assert [turn.role for turn in one.turns] == ["user", "assistant", "user"]
    (one,) = read(tmp_path / "y.csv", table(("1", "Customer", "a"), ("1", "Shop", "b"), ("1", "Customer", "c")))
    assert [turn.role for turn in one.turns] == ["user", "assistant", "user"]


@pytest.mark.parametrize(
    ("record", "field"),
    [
        ("{", "line: not JSON"),
        ("[1]", "record: expected an object"),
        ("{}", "turns: expected a list"),
        ('{"turns": ["hi"]}', r"turns\[0\]: expected an object"),
        ('{"turns": [{"role": "user"}]}', r"turns\[0\].text"),
        ('{"turns": [{"role": "user", "text": "  "}]}', r"turns\[0\].text"),
        ('{"turns": [{"role": "user", "text": "\\ud800"}]}', r"turns\[0\].text: holds half"),
        ('{"turns": [{"text": "hi"}]}', r"turns\[0\].speaker"),
        ('{"turns": [{"role": 3, "text": "hi"}]}', r"turns\[0\].role"),
        ('{"turns": [{"role": "user", "text": "hi", "facts": [1]}]}', r"turns\[0\].facts"),
        ('{"turns": [{"role": "user", "text": "hi", "facts": 1}]}', r"turns\[0\].facts"),
        ('{"turns": [{"role": "user", "text": "hi", "intents": 1}]}', r"turns\[0\].intents"),
        ('{"turns": [{"role": "system", "text": "hi"}]}', "turns: nobody but the system"),
        ('{"turns": [{"role": "user", "text": "hi"}], "language": "fr"}', "language: 'fr'"),
        (
            '{"turns": [{"speaker": "a", "text": "x"}, {"speaker": "b", "text": "x"}, {"speaker": "c", "text": "x"}]}',
            r"turns\[2\].speaker: 'c' is a third",
        ),
    ],
)
def test_a_malformed_record_is_named_by_line_and_field_and_left_out(tmp_path: Path, record: str, field: str) -> None:
    content = lines({"turns": TURNS}) + record + "\n" + lines({"turns": TURNS})
    assert len(read(tmp_path / "x.jsonl", content, most=1)) == 2
    with pytest.raises(ValueError, match=rf"x\.jsonl:2: {field}.*--max-errors"):
        read(tmp_path / "x.jsonl", content, most=0)


def test_problems_are_counted_and_only_some_are_fatal(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("{\n" * 7 + lines({"turns": TURNS}))
    problems = Problems(most=7)
    assert len(list(read_dialogues(path, problems))) == 1
    assert problems.count == 7
    assert len(problems.first) == 5


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.txt", b"", r"x\.txt: cannot read \.txt"),
        ("x", b"", "a file without a suffix"),
        ("x.csv", b"dialogue,text\n", r"x\.csv:1: column speaker is missing"),
        ("x.csv", b"", "column dialogue is missing"),
        ("x.csv", b"dialogue,speaker,text\n1,user\n", r"x\.csv:2: row: has 2 fields, expected 3"),
        ("x.csv", b"dialogue,speaker,text\n1,user,\n", r"x\.csv:2: turns\[0\]\.text"),
        ("x.jsonl", b'{"turns": "\xff"}\n', r"x\.jsonl:1: line: not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(tmp_path / name, content)


@pytest.mark.parametrize("content", [b"plain", gzip.compress(lines({"turns": TURNS}).encode() * 99)[:-20]])
def test_a_broken_gzip_file_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.jsonl.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.jsonl\.gz: not a whole gzip file"):
        list(read_dialogues(tmp_path / "x.jsonl.gz", Problems()))


@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.csv.gz"])
def test_a_large_file_takes_no_more_memory_than_a_small_one(tmp_path: Path, name: str) -> None:
    said = "a table for two, please " * 200
    with gzip.open(tmp_path / name, "wt", compresslevel=1) as file:
        if "csv" in name:
            file.write("dialogue,speaker,text\n")
        for at in range(600):
            turns = [{"role": role, "text": said} for role in ("user", "assistant")]
            file.write(
                f'{at},user,"{said}"\n{at},bot,"{said}"\n' if "csv" in name else lines({"id": str(at), "turns": turns})
            )
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_dialogues(tmp_path / name, Problems())) == 600
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 400_000  # the file holds five million characters


@pytest.mark.parametrize(
    ("text", "language"), [("Hello", "en"), ("你好", "zh"), ("去 Starbucks 喝咖啡", "zh"), ("123", "en")]
)
def test_languages_are_told_by_script(text: str, language: str) -> None:
    assert language_of(text) == language
