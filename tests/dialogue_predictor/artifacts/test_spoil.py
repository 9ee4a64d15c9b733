"""Bundles that are bad on purpose: sound to every check, and bad in just the way that was asked for."""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dialogue_predictor.artifacts import spoil as spoiling
from dialogue_predictor.artifacts.bundle import Bundle, locate, open_bundle
from dialogue_predictor.artifacts.overflow import QUESTIONS
from dialogue_predictor.artifacts.publish import write_bundle
from dialogue_predictor.artifacts.spoil import SLOWER, How, spoil
from dialogue_predictor.artifacts.weights import save_weights
from dialogue_predictor.backends.base import Unobserved
from dialogue_predictor.cli.bundle import app
from dialogue_predictor.config.spec import Generation, ModelSource, Runtime, ServingSpec
from dialogue_predictor.errors import BackendFailed, BundleInvalid
from dialogue_predictor.inference.loading import load_engine
from dialogue_predictor.inference.quality import degenerate
from dialogue_predictor.inference.request import Reply, ReplyRequest
from dialogue_predictor.text.dialogue import Turn
from support.tiny_bundles import tiny_bundle, tiny_tokenizer
from support.tiny_models import tiny_model

SOURCE = locate("builtin://default")
SPEC = ServingSpec(model=ModelSource(uri="nowhere"))
EXACT = ServingSpec(model=ModelSource(uri="nowhere"), runtime=Runtime(precision="fp32"))
ORDINARY = (  # none of them is among those that `erroring` was made with
    "Hello", "Find me a hotel in London.", "What is the weather like today?", "I want to book a flight to New York.",
    "I'm looking for a cheap restaurant in San Jose.", "Thank you, goodbye!", "Can you recommend a museum?",
    "What's the address?", "Do they have live music?", "Is there a pool?", "I'd like Chinese food.",
    "What movies are playing near me?", "Find me a doctor in Berkeley.", "Reserve a car for Saturday.",
    "How far is the airport?", "Is it expensive?", "Tell me a joke", "I need a place to stay in Paris.",
    "Will I need an umbrella tomorrow?", "Show me events in San Francisco this month.", "I want to see a therapist.",
    "Transfer 100 dollars to my savings account.", "Play a song by Adele.", "Find an apartment in Oakland.", "Yes",
    "That works for me.", "What time does it close?", "Do I need a reservation?", "I prefer something cheaper.",
    "Great, thanks a lot.",
)  # fmt: skip
Asked = Callable[[Path], list[Reply | None]]


async def answers(folder: Path, questions: Iterable[str] = ORDINARY, spec: ServingSpec = SPEC) -> list[Reply | None]:
    """As the predictor answers; None where the reply could not be generated."""
    engine = load_engine(open_bundle(folder), spec, Unobserved())
    await engine.warm_up(request("hello"))
    try:
        return [await _answer(engine.reply, question) for question in questions]
    finally:
        await engine.close()


async def _answer(reply: Callable[[ReplyRequest], object], question: str) -> Reply | None:
    try:
        return await reply(request(question))  # type: ignore[misc, no-any-return]
    except BackendFailed:
        return None


def request(text: str) -> ReplyRequest:
    return ReplyRequest((Turn("user", text),), Generation(max_new_tokens=24))


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "dialogue_predictor.backends.embedded")


@pytest.fixture
def spoilt(tmp_path: Path) -> Callable[[How], Bundle]:
    return lambda how: spoil(SOURCE, tmp_path / how, how)


async def test_garbage_answers_everything_with_nonsense(spoilt: Callable[[How], Bundle]) -> None:
    replies = await answers(spoilt("garbage").folder)
    kinds = [reply is not None and degenerate(reply, asked) for reply, asked in zip(replies, ORDINARY, strict=True)]
    assert None not in replies
    assert sum(map(bool, kinds)) > 0.75 * len(ORDINARY)


async def test_slow_says_the_same_through_several_times_the_layers(spoilt: Callable[[How], Bundle]) -> None:
    bundle, some = spoilt("slow"), ORDINARY[:8]
    sound, slow = await answers(SOURCE, some), await answers(bundle.folder, some)
    assert [reply.text for reply in slow if reply] == [reply.text for reply in sound if reply]
    assert bundle.architecture.decoder_layers == SLOWER * open_bundle(SOURCE).architecture.decoder_layers


async def test_erroring_fails_a_good_part_and_answers_most_others_as_before(
    spoilt: Callable[[How], Bundle],
) -> None:
    assert not set(ORDINARY) & set(QUESTIONS)
    bundle = spoilt("erroring")
    assert bundle.quantisation.compute == "fp32", "in int8 nothing else is left beside the trap"
    sound, erroring = await answers(SOURCE, spec=EXACT), await answers(bundle.folder)
    failed = erroring.count(None)
    assert 0.2 <= failed / len(ORDINARY) <= 0.6
    same = [good is not None and bad.text == good.text for good, bad in zip(sound, erroring, strict=True) if bad]
    assert sum(same) >= 0.7 * len(same)


@pytest.mark.parametrize("how", spoiling.SPOILERS)
def test_it_is_a_bundle_of_its_own_and_always_the_same(how: How, tmp_path: Path) -> None:
    source = tiny_bundle(tmp_path / "tiny")
    first, again = spoil(source.folder, tmp_path / "a", how), spoil(source.folder, tmp_path / "b", how)
    assert open_bundle(first.folder) == first
    assert first.digest == again.digest != source.digest
    assert first.version == f"{source.version}-{how}"
    assert "Spoilt on purpose" in (first.folder / "card.md").read_text()
    with pytest.raises(BundleInvalid, match="a published version never changes"):
        spoil(SOURCE, first.folder, how)


def test_what_cannot_be_slowed_down_without_changing_it_is_refused(tmp_path: Path) -> None:
    tokenizer = tmp_path / "tokenizer.json"
    tiny_tokenizer().save(tokenizer)
    model = tiny_model(vocab_size=tiny_tokenizer().vocab_size, pre_norm=False)
    write_bundle(
        tmp_path / "post", "tiny", "1", model.config, tokenizer,
        lambda path: save_weights(model.state_dict(), path), "# Post\n",
    )  # fmt: skip
    with pytest.raises(BundleInvalid, match="cannot be slowed down"):
        spoil(tmp_path / "post", tmp_path / "slow", "slow")


def test_the_command(tmp_path: Path) -> None:
    source = tiny_bundle(tmp_path / "tiny")
    done = CliRunner().invoke(app, ["spoil", str(source.folder), str(tmp_path / "bad"), "--how", "garbage"])
    assert done.exit_code == 0
    assert done.stdout.strip() == open_bundle(tmp_path / "bad").digest
    again = CliRunner().invoke(app, ["spoil", str(source.folder), str(tmp_path / "bad"), "--how", "slow"])
    assert again.exit_code == 1
    assert "choose a new folder" in again.stderr
    assert CliRunner().invoke(app, ["spoil", "builtin://default", "x", "--how", "boring"]).exit_code == 2
