"""A whole evaluation of tiny random models: every part has its figures, the same for the same seed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dialogue_predictor.cli.evaluate import app
from dialogue_predictor.evaluation.cases import Corpora, cases_of, open_corpora
from dialogue_predictor.evaluation.evaluate import PARTS, evaluate
from dialogue_predictor.evaluation.parts.retrieval import searches
from dialogue_predictor.evaluation.report import Report
from dialogue_predictor.evaluation.setting import LeftOut, Setting
from dialogue_predictor.evaluation.subject import open_subject
from dialogue_predictor.text.dialogue import Turn
from dialogue_predictor.training.data.dialogues import Dialogue, Utterance
from support.tiny_bundles import tiny_bundle
from support.tiny_corpora import dialogue, write_corpora, write_jsonl
from support.tiny_intents import write_intents

QUICK = ("replies", "perplexity", "retrieval", "zero-shot")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_intents(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny").folder


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundles") / "teacher", seed=5).folder


def setting(data: Path, most: int = 3, **folders: Path) -> Setting:
    return Setting(
        open_corpora(data, seed=0, most=most), {who: open_subject(str(folder)) for who, folder in folders.items()}
    )


def figures(report: Report, part: str, who: str) -> dict[tuple[str, str], float]:
    return {(one.data, one.metric): one.value for one in report.of(part) if one.who == who}


def test_model_teacher_and_baselines_stand_beside_each_other(data: Path, bundle: Path, teacher: Path) -> None:
    report = evaluate(setting(data, model=bundle, teacher=teacher), QUICK)
    assert report.parts() == ["replies", "perplexity", "retrieval", "zero-shot intents"]
    for who in ("model", "teacher", "TF-IDF"):
        found = figures(report, "replies", who)
        assert {data for data, _ in found} == {"sgd", "crosswoz"}
        assert {metric for _, metric in found} >= {"BLEU", "chrF", "distinct-1", "distinct-2", "degenerate"}
    assert figures(report, "replies", "model") != figures(report, "replies", "teacher")
    assert figures(report, "replies", "TF-IDF with facts").keys() == {
        key for key in figures(report, "replies", "TF-IDF") if key[0] == "sgd"
    }
    assert all(value > 1 for value in figures(report, "perplexity", "model").values())
    assert {figure.who for figure in report.of("retrieval")} == {"model", "teacher", "TF-IDF", "chance"}


def test_zero_shot_knows_the_unseen_services_alone(data: Path, bundle: Path) -> None:
    report = evaluate(setting(data, model=bundle), ["zero-shot"])
    on = ("sgd, 2 intents of 1 unseen services", "accuracy")
    assert figures(report, "zero-shot intents", "chance") == {on: 50}
    assert figures(report, "zero-shot intents", "TF-IDF") == {on: 100}  # "play" and "buy" stand in the descriptions
    assert on in figures(report, "zero-shot intents", "model")


def test_the_same_seed_gives_the_same_figures(data: Path, bundle: Path) -> None:
    parts = (*QUICK, "robustness")
    first, again = (evaluate(setting(data, most=2, model=bundle), parts) for _ in range(2))
    assert first == again
    assert {figure.at for figure in first.of("robustness")} == {0.0, 0.05, 0.1, 0.2}


def test_off_topic_counts_declines_of_questions_and_of_dialogues(data: Path, bundle: Path) -> None:
    report = evaluate(setting(data, most=20, model=bundle), ["off-topic"])
    declined = figures(report, "off-topic", "TF-IDF")
    assert declined["off-topic questions, en", "declined"] > 50  # it has those of training to find
    assert declined["sgd", "declined falsely"] < 50
    assert figures(report, "off-topic", "model")["off-topic questions, zh", "declined"] == 0


def test_speed_and_size_are_measured_in_another_process(data: Path, bundle: Path) -> None:
    report = evaluate(setting(data, most=1, model=bundle), ["speed"])
    found = figures(report, "speed", "model")
    assert {metric for _, metric in found} >= {"latency p50", "latency p95", "tokens/s", "parameters", "weights"}
    assert all(value > 0 for value in found.values())


def test_precisions_are_compared_with_the_first(data: Path, bundle: Path) -> None:
    found = figures(evaluate(setting(data, model=bundle), ["precision"]), "precision", "model")
    assert {on for on, _ in found} >= {"sgd, fp32", "sgd, int8", "crosswoz, fp32", "crosswoz, int8"}
    assert found["sgd, fp32", "same as fp32"] == 100


def test_a_part_that_cannot_be_measured_is_noted_unless_it_was_asked_for(
    data: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(_: Setting) -> Iterator[object]:
        raise LeftOut("nothing to classify")
        yield

    monkeypatch.setattr("dialogue_predictor.evaluation.evaluate.PARTS", {"replies": PARTS["replies"], "odd": lacking})
    report = evaluate(setting(data, model=bundle))
    assert report.notes == ("odd was left out: nothing to classify",)
    assert report.parts() == ["replies"]
    with pytest.raises(ValueError, match="odd cannot be measured: nothing to classify"):
        evaluate(setting(data, model=bundle), ["odd"])


def test_services_that_are_not_there_are_named(bundle: Path, tmp_path: Path) -> None:
    without = setting(write_corpora(tmp_path), model=bundle)
    with pytest.raises(ValueError, match=r"zero-shot cannot be measured: .* expected sgd/train_services\.json"):
        evaluate(without, ["zero-shot"])


def test_ones_own_corpus_is_measured_by_its_name(data: Path) -> None:
    turns = (Utterance("user", "Hello."), Utterance("assistant", "Hello!"))
    own = [Dialogue("a", "ours", "en", "", turns), Dialogue("b", "smalltalk", "en", "", turns)]
    assert Corpora(data, {"train": [], "validation": own}, seed=0, most=5).names() == ["ours"]


def test_cases_have_what_was_known_and_nothing_of_the_reply() -> None:
    turns = (
        Utterance("user", "How much?"),
        Utterance("assistant", "60.", facts=("price: 60", "city: Paris")),
        Utterance("user", "Thanks."),
        Utterance("assistant", ""),
    )
    (case,) = cases_of([Dialogue("d", "sgd", "en", "", turns)])
    assert case.turns == (Turn("system", "price: 60\ncity: Paris"), Turn("user", "How much?"))
    assert case.reply == "60."
    assert case.asking("How mcuh?").turns[-1] == Turn("user", "How mcuh?")
    assert next(cases_of([Dialogue("d", "sgd", "en", "", turns)], facts=False)).turns == (Turn("user", "How much?"),)


def test_validation_is_drawn_and_training_is_whole(data: Path) -> None:
    corpora: Corpora = open_corpora(data, seed=0, most=5)
    assert corpora.names() == ["sgd", "crosswoz"]
    assert len(corpora.validation("sgd")) == 5
    assert len(corpora.training("sgd")) == 48
    assert corpora.validation("sgd") != open_corpora(data, seed=1, most=5).validation("sgd")


def test_searches_have_one_right_answer_each() -> None:
    turns = tuple(Utterance("user" if at % 2 == 0 else "assistant", f"text {at}") for at in range(4))
    twice = [Dialogue(name, "sgd", "en", "", turns) for name in ("a", "b")]
    other = Dialogue("c", "sgd", "en", "", tuple(Utterance(one.role, f"other {one.text}") for one in turns))
    found = searches([*twice, other], seed=0)
    assert [len(candidates) for _, candidates in (found["misspelt"], found["halves"])] == [2, 2]
    queries, candidates = found["halves"]
    assert [turn.text for turn in queries[0]] == ["text 0", "text 1"]
    assert [turn.text for turn in candidates[0]] == ["text 2", "text 3"]


def test_the_command_writes_three_reports(data: Path, bundle: Path, teacher: Path, tmp_path: Path) -> None:
    arguments = [
        "--bundle",
        str(bundle),
        "--against",
        str(teacher),
        "--data",
        str(data),
        "--out",
        str(tmp_path / "out"),
    ]
    result = CliRunner().invoke(app, [*arguments, "--most", "2", "--only", "replies, retrieval", "--threads", "1"])
    assert result.exit_code == 0, result.output
    assert "1/2 replies" in result.output
    written = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "out").iterdir()}
    assert written.keys() == {"report.json", "report.md", "report.html"}
    assert json.loads(written["report.json"])["subjects"]["teacher"]["version"] == "5"
    assert "| sgd | chrF |" in written["report.md"]
    compared = CliRunner().invoke(app, ["ablation", str(tmp_path / "out")])
    assert "| replies | sgd | chrF |" in compared.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "repiles"], "error: --only: there is no part 'repiles'; the parts are replies, "),
        (["--only", "classifier"], "error: classifier cannot be measured: no classifier was given"),
        (["--precision", "fp8"], "error: --precision must be fp32, bf16 or int8, got 'fp8'"),
        (["--bundle", "/nowhere"], "no folder /nowhere"),
    ],
)
def test_mistakes_are_said_in_one_line(
    arguments: list[str], said: str, data: Path, bundle: Path, tmp_path: Path
) -> None:
    given = ["--data", str(data), "--out", str(tmp_path / "out"), "--most", "1", "--bundle", str(bundle), *arguments]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 1
    assert said in result.output
    assert result.output.count("error:") == 1
    assert not (tmp_path / "out").exists()


def test_what_is_needed_is_named(data: Path) -> None:
    result = CliRunner().invoke(app, ["--data", str(data)])
    assert result.exit_code == 1
    assert "error: --data and --out are needed" in result.output


def test_corpora_without_replies_are_refused(bundle: Path, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "data/sgd/train.jsonl.gz", [dialogue("a", "en", "Hello.", "Hello.")])
    result = CliRunner().invoke(
        app, ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--bundle", str(bundle)]
    )
    assert result.exit_code == 1
    assert "has no validation dialogues" in result.output
