"""From exports to a corpus: the split, the report, and what happens when something is wrong."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dialogue_predictor.cli.data import app
from dialogue_predictor.training.data import prepare as module
from dialogue_predictor.training.data.audit import normalised, quantiles, sketch_of
from dialogue_predictor.training.data.corpora import read_corpora
from dialogue_predictor.training.data.mixture import read_mixture
from dialogue_predictor.training.data.personal import PersonalData, masked
from dialogue_predictor.training.data.prepare import PrepareOptions, prepare
from dialogue_predictor.training.data.readers import Problems, read_dialogues
from support.tiny_bundles import tiny_bundle

HOTEL, TABLE = "a cheap hotel in the north, please", "a table for tonight by the window"


def record(name: str, *texts: str, **more: Any) -> dict[str, Any]:
    turns = [{"role": ("user", "assistant")[at % 2], "text": text} for at, text in enumerate(texts)]
    return {"id": name, "turns": turns, **more}


def write(path: Path, *records: Any) -> Path:
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("bundle") / "tiny"
    tiny_bundle(folder)
    return str(folder)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    spoken = [
        record(f"d{at}", f"{(HOTEL, TABLE)[at % 2]} {chr(97 + at % 26)}", f"Which one, {chr(97 + at % 13)}?")
        for at in range(60)
    ]
    return write(tmp_path / "mine.jsonl", *spoken, record("zh", "你好，便宜的酒店", "好的，谢谢您的来电"))


def test_the_split_is_disjoint_reproducible_and_moves_with_the_seed(corpus: Path, tmp_path: Path, bundle: str) -> None:
    splits = []
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        prepare([corpus], tmp_path / name, PrepareOptions(0.3, seed, vectors=bundle))
        splits.append([(tmp_path / name / f"{split}.jsonl.gz").read_bytes() for split in ("train", "validation")])
    assert splits[0] == splits[1] != splits[2]
    found = read_corpora(tmp_path / "one")
    train, validation = ({one.id for one in found[split]} for split in ("train", "validation"))
    assert len(train) + len(validation) == len(train | validation) == 61
    assert 8 <= len(validation) <= 30


def test_training_reads_what_was_prepared(corpus: Path, tmp_path: Path, bundle: str) -> None:
    prepare([corpus], tmp_path / "out", PrepareOptions(0.3, vectors=bundle))
    mixture = read_mixture(tmp_path / "out", seed=0, simulated=5)
    assert {"own", "greetings-en", "off-topic-zh"} <= set(mixture.parts)
    assert mixture.validation
    assert not {one.id for one in mixture.parts["own"]} & {one.id for one in mixture.validation}


def test_the_report_counts_lengths_languages_and_clusters(corpus: Path, tmp_path: Path, bundle: str) -> None:
    prepare([corpus], tmp_path / "out", PrepareOptions(0.3, vectors=bundle))
    report = json.loads((tmp_path / "out/report.json").read_text(encoding="utf-8"))
    assert report["dialogues"]["total"] == 61
    assert report["languages"] == {"en": 60, "zh": 1, "other script than declared": 0}
    assert report["turns of a dialogue"] == {"p50": 2, "p90": 2, "p99": 2, "p100": 2}
    assert report["turns"] == 122
    assert report["tokens"] > 122
    assert 2 <= len(report["topics"]) <= 16
    assert sum(one["share"] for one in report["topics"]) == pytest.approx(1, abs=0.01)
    assert {"hotel", "table"} & {word for one in report["topics"] for word in one["words"]}
    assert "| total | 61 |" in (tmp_path / "out/report.md").read_text(encoding="utf-8")


def test_duplicates_and_leaks_are_counted(tmp_path: Path, bundle: str) -> None:
    said = (
        "Could you find me a quiet hotel near the station?",
        "Of course, which night would that be, and for how many guests?",
    )
    file = write(
        tmp_path / "x.jsonl",
        *[record(f"d{at}", *said) for at in range(20)],
        record("near", said[0], f"{said[1]} Please tell me."),
        record("d0", "Something else entirely, that nobody said.", "Indeed nobody has."),
    )
    prepare([file], tmp_path / "out", PrepareOptions(0.5, vectors=bundle))
    report = json.loads((tmp_path / "out/report.json").read_text(encoding="utf-8"))
    assert (report["duplicates"]["same id"], report["duplicates"]["exact"]) == (1, 19)
    validation = sum(
        one.id != "near" for one in read_corpora(tmp_path / "out")["validation"] if "else" not in one.turns[0].text
    )
    assert report["leaks"]["same dialogue"] == validation > 0
    assert report["leaks"]["most turns"] >= validation


def test_nearly_the_same_texts_have_the_same_sketch() -> None:
    long = (
        normalised("I would like to book a table for two at the Italian restaurant on 5th Street at 7 pm tomorrow.") * 3
    )
    assert sum(sketch_of([long]) == sketch_of([long[:at] + "x" + long[at + 1 :]]) for at in range(0, 200, 4)) > 25
    assert sketch_of([long]) != sketch_of(
        [normalised("Something that is not at all like it, and long enough to tell.")]
    )
    assert normalised("It's 19:30, OK?") == normalised("its 7 OK")
    assert quantiles({1: 50, 5: 40, 9: 10}) == {"p50": 1, "p90": 5, "p99": 9, "p100": 9}


def test_personal_data_is_counted_by_kind_masked_and_dropped_on_demand(tmp_path: Path, bundle: str) -> None:
    told = (
        "write to anna.b@example.com or call 408-247-8880",
        "my card is 4111 1111 1111 1111, IBAN DE89370400440532013000",
    )
    file = write(
        tmp_path / "x.jsonl", record("told", *told), record("not", "at 11:30 on 2019-03-01 for 2", "nothing personal")
    )
    prepare([file], tmp_path / "out", PrepareOptions(0, vectors=bundle))
    text = (tmp_path / "out/report.json").read_text(encoding="utf-8")
    found = json.loads(text)["personal data"]
    assert found["pieces"] == {"EMAIL_ADDRESS": 1, "PHONE_NUMBER": 1, "CREDIT_CARD": 1, "IBAN_CODE": 1}
    assert found["dialogues"] == 1
    assert found["samples"]["EMAIL_ADDRESS"] == ["an**.*@*******.***"]
    assert not [piece for piece in ("anna.b", "247-8880", "1111 1111", "0440532") if piece in text]
    prepare([file], tmp_path / "clean", PrepareOptions(0, drop_personal=True, vectors=bundle))
    assert [one.id for one in read_corpora(tmp_path / "clean")["train"]] == ["not"]


def test_numbers_that_are_not_personal_are_left_alone() -> None:
    personal = PersonalData()
    for text in (
        "The flight leaves at 14:05 on 2019-03-01.",
        "门票60元，评分4.7分。",
        "It costs $1,250.00 for 3 nights.",
        "4111 1111 1111 1112",
    ):
        assert personal.find(text) == []
    assert masked("408-247-8880") == "40*-***-****"


def test_an_interrupted_run_leaves_no_file(
    corpus: Path, tmp_path: Path, bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopping(*_: object) -> Iterator[Any]:
        yield from list(read_dialogues(corpus, Problems()))[:3]
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "read_all", stopping)
    result = CliRunner().invoke(app, ["prepare", str(corpus), "--out", str(tmp_path / "out"), "--vectors", bundle])
    assert (result.exit_code, list((tmp_path / "out").iterdir())) == (130, [])
    assert "run it again" in result.output


def test_the_command_writes_a_report_and_says_what_was_left_out(corpus: Path, tmp_path: Path, bundle: str) -> None:
    corpus.write_text("{\n" + corpus.read_text(encoding="utf-8"), encoding="utf-8")
    command = ["prepare", str(corpus), "--out", str(tmp_path / "out"), "--vectors", bundle]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "1 malformed records were left out" in result.output
    assert "mine.jsonl:1: line: not JSON" in result.output
    again = CliRunner().invoke(app, command)
    assert (again.exit_code, again.output) == (
        1,
        f"error: {tmp_path / 'out'} is not empty; name a new folder with --out\n",
    )


@pytest.mark.parametrize(
    ("content", "flags", "message"),
    [
        ("", [], "no dialogue in"),
        ("{\n", [], "is it the right file?; "),
        ("{\n", ["--max-errors", "0"], "mend them or raise --max-errors"),
        ('{"turns": [{"role": "user", "text": "hi"}]}\n', ["--vectors", "nowhere"], "no folder nowhere"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, bundle: str, content: str, flags: list[str], message: str) -> None:
    (tmp_path / "x.jsonl").write_text(content)
    result = CliRunner().invoke(
        app, ["prepare", str(tmp_path / "x.jsonl"), "--out", str(tmp_path / "out"), "--vectors", bundle, *flags]
    )
    assert result.exit_code == 1
    assert result.output.startswith("error: ")
    assert message in result.output
    assert result.output.count("\n") == 1
    assert not list(tmp_path.glob("out/*"))
