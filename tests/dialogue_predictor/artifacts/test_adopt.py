"""A checkpoint from elsewhere, imported and served, replies as under transformers: through our prompt, search and text."""

import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from dialogue_predictor.artifacts.adopt import adopt
from dialogue_predictor.artifacts.bundle import Bundle, open_bundle
from dialogue_predictor.artifacts.spoil import spoil
from dialogue_predictor.backends.base import Unobserved
from dialogue_predictor.cli.bundle import app
from dialogue_predictor.config.options import RequestOptions
from dialogue_predictor.config.spec import ModelSource, ServingSpec
from dialogue_predictor.errors import BundleInvalid
from dialogue_predictor.inference.engine import DialogueEngine
from dialogue_predictor.inference.loading import load_engine
from dialogue_predictor.inference.request import ReplyRequest
from dialogue_predictor.text.dialogue import Turn
from dialogue_predictor.text.source import source_of
from dialogue_predictor.text.tokenizer import StreamDecoder, Tokenizer
from support.checkpoints import FIRST, LINES, MODELS, checkpoint, tokenizer_of

SPEC = ServingSpec(model=ModelSource(uri="nowhere"))
ASKED = (*LINES[:4], "Hello  there\nyou!", "unknown letters: ж ñ 👋")
BEAMS = (1, 4)
NEW_TOKENS = 12
families = pytest.mark.parametrize("family", MODELS)


@asynccontextmanager
async def served(bundle: Bundle) -> AsyncIterator[DialogueEngine]:
    engine = load_engine(bundle, SPEC, Unobserved())
    try:
        yield engine
    finally:
        await engine.close()


def request(text: str, beams: int) -> ReplyRequest:
    options = RequestOptions.of(SPEC.generation, num_beams=beams, max_new_tokens=NEW_TOKENS, no_repeat_ngram=3)
    return ReplyRequest((Turn("user", text),), options)


def theirs(model: Any, tokenizer: Any, text: str, beams: int, **options: Any) -> tuple[list[int], int, str]:
    """The source that transformers makes, how many tokens it says, and their text without broken characters."""
    inputs = tokenizer(text, return_tensors="pt", return_token_type_ids=False)
    said = model.generate(
        **inputs, do_sample=False, num_beams=beams, max_new_tokens=NEW_TOKENS, no_repeat_ngram_size=3,
        early_stopping=False, length_penalty=1.0, **options,
    )[0, 1:].tolist()  # fmt: skip
    if tokenizer.eos_token_id in said:
        said = said[: said.index(tokenizer.eos_token_id) + 1]
    text = tokenizer.decode(said, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return inputs.input_ids[0].tolist(), len(said), text.replace("\ufffd", "")


async def assert_alike(bundle: Bundle, model: Any, tokenizer: Any, **options: Any) -> None:
    ours = Tokenizer.load_any(bundle.tokenizer_path)
    replies = set()
    async with served(bundle) as engine:
        for beams, text in itertools.product(BEAMS, ASKED):
            source, tokens, said = theirs(model, tokenizer, text, beams, **options)
            prompt = source_of((Turn("user", text),), ours, bundle.text, 12, bundle.architecture.max_positions)
            assert list(prompt.ids) == source
            reply = await engine.reply(request(text, beams))
            assert (reply.text, reply.tokens, reply.prompt_tokens) == (said, tokens, len(source))
            pieces = [piece.text async for piece in engine.stream(request(text, beams))]
            assert "".join(pieces) == said
            replies.add(said)
    assert len(replies) > len(ASKED) // 3, "a model that always says the same proves nothing"


@families
async def test_replies_are_those_of_transformers(family: str, tmp_path: Path) -> None:
    model, tokenizer = checkpoint(family, tmp_path / "checkpoint")
    await assert_alike(adopt(tmp_path / "checkpoint", tmp_path / "bundle", "faq", "1"), model, tokenizer)


async def test_forced_ids_and_bad_words_are_those_of_the_checkpoint(tmp_path: Path) -> None:
    words = [[20], [21, 22], *([token] for token in range(25, 40))]
    forced = {"forced_bos_token_id": 50, "forced_eos_token_id": 0, "bad_words_ids": words}
    model, tokenizer = checkpoint("marian", tmp_path / "checkpoint", **forced)
    bundle = adopt(tmp_path / "checkpoint", tmp_path / "bundle", "faq", "1")
    assert bundle.text is not None
    assert (bundle.text.forced_bos_id, len(bundle.text.bad_words)) == (50, len(words))
    await assert_alike(bundle, model, tokenizer)


async def test_languages_other_than_those_that_the_tokenizer_is_set_to(tmp_path: Path) -> None:
    model, tokenizer = checkpoint("mbart", tmp_path / "checkpoint")
    tokenizer.src_lang = "zh_CN"
    target = tokenizer.convert_tokens_to_ids("ro_RO")
    bundle = adopt(
        tmp_path / "checkpoint", tmp_path / "bundle", "faq", "1", source_language="zh_CN", target_language="ro_RO"
    )
    await assert_alike(bundle, model, tokenizer, forced_bos_token_id=target)
    with pytest.raises(BundleInvalid, match="language xx_YY: the tokenizer has no such token"):
        adopt(tmp_path / "checkpoint", tmp_path / "other", "faq", "1", source_language="xx_YY")


def test_without_a_generation_config_the_end_is_forced(tmp_path: Path) -> None:
    checkpoint("bart", tmp_path / "checkpoint", forced_eos_token_id=None)
    kept = adopt(tmp_path / "checkpoint", tmp_path / "kept", "faq", "1")
    (tmp_path / "checkpoint" / "generation_config.json").unlink()
    bare = adopt(tmp_path / "checkpoint", tmp_path / "bare", "faq", "1")
    assert kept.text is not None
    assert bare.text is not None
    assert (kept.text.forced_eos_id, bare.text.forced_eos_id) == (None, FIRST["</s>"])


@pytest.fixture(scope="module")
def blenderbot(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("blenderbot")
    checkpoint("blenderbot", folder / "checkpoint", num_beams=10, encoder_no_repeat_ngram_size=3)
    (folder / "checkpoint" / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Bot\n")
    return adopt(folder / "checkpoint", folder / "bundle", "bot", "1")


def test_a_dialogue_is_read_oldest_turn_first(blenderbot: Bundle) -> None:
    tokenizer = Tokenizer.load_any(blenderbot.tokenizer_path)
    turns = (Turn("user", "hello there"), Turn("assistant", "how are you"), Turn("user", "fine"))

    def read(most: int, budget: int) -> tuple[str, int, bool]:
        prompt = source_of(turns, tokenizer, blenderbot.text, most, budget)
        assert len(prompt.ids) <= budget
        assert prompt.ids[-1] == FIRST["</s>"]
        return tokenizer.decode(prompt.ids), prompt.turns_used, prompt.truncated

    assert read(12, 96) == (" hello there  how are you  fine", 3, False)
    assert read(2, 96) == (" how are you  fine", 2, True)
    assert read(12, 12)[1:] == (2, True)
    text, used, cut = read(12, 2)
    assert " fine".endswith(text)
    assert (used, cut) == (1, True)


def test_the_card_quotes_the_checkpoint(blenderbot: Bundle) -> None:
    card = (blenderbot.folder / "card.md").read_text()
    for said in ("Licence of the checkpoint: apache-2.0", "family blenderbot", "num_beams 10"):
        assert said in card
    assert "Not applied here: encoder_no_repeat_ngram_size 3" in card


def test_an_imported_bundle_is_a_bundle_like_any(blenderbot: Bundle, tmp_path: Path) -> None:
    assert open_bundle(blenderbot.folder) == blenderbot
    config = json.loads((blenderbot.folder / "config.json").read_text())
    assert config["text"]["style"] == "plain"
    assert "special_tokens" not in config
    assert spoil(blenderbot.folder, tmp_path / "spoilt", "garbage").text == blenderbot.text


TOKENIZERS: dict[str, tuple[Tokenizer, Any]] = {}


@pytest.fixture(scope="module", autouse=True)
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> None:
    for family in ("bart", "marian", "mbart", "pegasus"):
        original = tokenizer_of(family)
        original.save_pretrained(folder := tmp_path_factory.mktemp(family))
        TOKENIZERS[family] = Tokenizer.load_any(folder / "tokenizer.json"), original


@pytest.mark.parametrize("family", ["bart", "marian", "mbart", "pegasus"])
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_text_and_ids_are_those_of_transformers(family: str, data: st.DataObject) -> None:
    ours, original = TOKENIZERS[family]
    text = data.draw(st.text(st.characters(exclude_categories=["Cs"])))
    assert ours.encode(text) == original(text, add_special_tokens=False).input_ids
    ids = data.draw(st.lists(st.integers(0, ours.vocab_size - 1)))
    expected = original.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert ours.decode(ids) == expected.replace("\ufffd", "")
    stream = StreamDecoder(ours)
    assert "".join([*(stream.push([token]) for token in ids), stream.finish()]) == ours.decode(ids)


@pytest.mark.parametrize("family", ["bart", "marian", "mbart"])
def test_a_special_token_in_text_is_never_one(family: str) -> None:
    ours, original = TOKENIZERS[family]
    special = set(original.all_special_ids) - {original.unk_token_id}
    assert special & set(original("before </s> after", add_special_tokens=False).input_ids)
    assert not special & set(ours.encode("before </s> after <pad> en_XX"))


def rewrite(name: str, change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def run(folder: Path) -> None:
        values = json.loads((folder / name).read_text())
        change(values)
        (folder / name).write_text(json.dumps(values))

    return run


@pytest.mark.parametrize(
    ("spoil_it", "told"),
    [
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json is missing; only tokenizers of"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors: is missing"),
        (lambda folder: (folder / "pytorch_model.bin").write_bytes(b"\x80\x04N."), "pytorch_model.bin is a pickle"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"PK\x03\x04" + b" " * 9), "a pickle or an archive"),
        (lambda folder: (folder / "notes").symlink_to("/etc/passwd"), "notes is a symbolic link"),
        (rewrite("config.json", lambda values: values.update(model_type="t5")), "model_type must be one of bart"),
        (rewrite("tokenizer.json", lambda values: values.update(decoder=None)), "the tokenizer has no decoder"),
        (
            rewrite("tokenizer.json", lambda values: values.update(decoder={"type": "BPEDecoder", "suffix": "</w>"})),
            "the decoder BPEDecoder; only ByteLevel and Metaspace",
        ),
        (
            rewrite("generation_config.json", lambda values: values.update(forced_bos_token_id=[4, 5])),
            "forced_bos_id must be a token id",
        ),
        (
            rewrite("generation_config.json", lambda values: values.update(forced_bos_token_id=99999)),
            "text: forced_bos_id must lie in the vocabulary",
        ),
    ],
)
def test_what_cannot_be_imported_is_refused_in_one_sentence(
    spoil_it: Callable[[Path], object], told: str, tmp_path: Path
) -> None:
    checkpoint("bart", tmp_path / "checkpoint")
    spoil_it(tmp_path / "checkpoint")
    out = tmp_path / "bundle"
    said = CliRunner().invoke(app, ["import", str(tmp_path / "checkpoint"), str(out), "--name", "x", "--version", "1"])
    assert said.exit_code == 1, said.output
    assert told in said.stderr
    assert said.stderr.count("\n") == 1
    assert not out.exists()
