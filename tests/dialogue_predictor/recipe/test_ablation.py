"""The ablation as commands: each differs from its neighbour in one ingredient, and every flag is one of ours."""

from pathlib import Path

from typer.main import get_command
from typer.testing import CliRunner

from dialogue_predictor.cli import app
from dialogue_predictor.recipe.ablation import FINETUNED, Little, ablation
from dialogue_predictor.recipe.chain import Sizes


def test_what_is_compared_differs_in_one_ingredient_and_has_as_much_time(tmp_path: Path) -> None:
    steps = ablation(tmp_path / "data", tmp_path, Sizes(), Little(minutes=30))
    trained = {step.result.parent.name: step.words for step in steps if step.words[0] == "train"}
    assert {words[words.index("--max-minutes") + 1] for words in trained.values()} == {"5"}
    masked, contrastive = (set(trained[name]) - {str(tmp_path / name)} for name in ("masked", "contrastive"))
    assert masked - contrastive == {"--contrast-weight"}
    with_copy, without = (set(trained[name]) - {str(tmp_path / name)} for name in ("from-contrastive", "without-copy"))
    assert without - with_copy == {"--no-copy"}
    assert with_copy <= without
    reports = [step.result for step in steps if step.words[0] == "evaluate"]
    assert [path.parent.parent.name for path in reports][2:] == list(FINETUNED)


def test_every_command_is_understood(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("masked", "contrastive"):
        (tmp_path / name).mkdir()
    for step in ablation(tmp_path / "data", tmp_path, Sizes()):
        command, words = get_command(app), list(step.words)
        while hasattr(command, "commands") and words and words[0] in command.commands:
            command = command.commands[words.pop(0)]
        with command.make_context("dialogue", words):
            pass


def test_the_plan_is_printed_and_nothing_is_done(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    words = ["train", "ablation", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--plan"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0
    assert done.output.count("dialogue train") == 6
    assert not (tmp_path / "out").exists()
