"""The way of a reply through the real backend and a tiny model."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from dialogue_predictor.backends.embedded import EmbeddedBackend, embedded
from dialogue_predictor.config.options import BAD_WORD_BYTES, RequestOptions
from dialogue_predictor.config.spec import Generation
from dialogue_predictor.decoding.options import MAX_SEQUENCE_TOKENS, GenerationOptions
from dialogue_predictor.inference.engine import DialogueEngine, bad_tokens
from dialogue_predictor.inference.request import Reply, ReplyRequest
from dialogue_predictor.model.incremental import DecoderState
from dialogue_predictor.text.dialogue import Turn
from support.tiny_bundles import tiny_tokenizer
from support.tiny_models import tiny_model

POSITIONS = 64
LONG = Generation(num_beams=3, max_new_tokens=24)


@pytest.fixture
async def backend() -> AsyncIterator[EmbeddedBackend[DecoderState]]:
    tokenizer = tiny_tokenizer()
    backend = embedded(tiny_model(4, vocab_size=tokenizer.vocab_size, max_positions=POSITIONS, eos_bias=-2.0))
    yield backend
    await backend.close()


@pytest.fixture
def engine(backend: EmbeddedBackend[DecoderState]) -> DialogueEngine:
    return DialogueEngine(backend, tiny_tokenizer(), max_turns=4, positions=POSITIONS)


def ask(*texts: str, options: Generation = LONG, stop: tuple[str, ...] = ()) -> ReplyRequest:
    roles = ("user", "assistant")
    turns = tuple(Turn(roles[at % 2], text) for at, text in enumerate(texts))  # type: ignore[arg-type]
    return ReplyRequest(turns, options, stop)


async def streamed(engine: DialogueEngine, request: ReplyRequest) -> tuple[list[str], Reply]:
    pieces = [piece async for piece in engine.stream(request)]
    assert [piece.reply is None for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    reply = pieces[-1].reply
    assert reply is not None
    return [piece.text for piece in pieces], reply


async def test_a_stream_says_what_the_whole_reply_says(engine: DialogueEngine) -> None:
    texts = []
    for question in ("hello there", "便宜的酒店", "how are you", "bye 👋"):
        whole = await engine.reply(ask(question))
        pieces, reply = await streamed(engine, ask(question))
        assert "".join(pieces) == reply.text == whole.text
        assert reply == whole
        texts.append(whole.text)
    assert len(set(texts)) > 1, "a model that always says the same proves nothing"


async def test_a_greedy_stream_comes_in_many_pieces(engine: DialogueEngine) -> None:
    pieces, reply = await streamed(engine, ask("hello there", options=Generation(num_beams=1, max_new_tokens=24)))
    assert len(pieces) > 5
    assert reply.margin is None


async def test_what_a_reply_tells_about_itself(engine: DialogueEngine) -> None:
    reply = await engine.reply(ask("hello there"))
    assert reply.tokens == 24
    assert reply.finish == "length"
    assert reply.margin is not None
    assert reply.margin >= 0
    assert (reply.turns_used, reply.truncated) == (1, False)
    assert reply.prompt_tokens == len(tiny_tokenizer().encode("hello there")) + 2


async def test_a_long_dialogue_is_cut_and_says_so(engine: DialogueEngine) -> None:
    reply = await engine.reply(ask(*["hi"] * 7))
    assert (reply.turns_used, reply.truncated) == (4, True)


async def test_a_stop_string_ends_the_reply(engine: DialogueEngine) -> None:
    whole = (await engine.reply(ask("hello there"))).text
    stop = whole[5:7]
    expected = whole[: whole.find(stop)]
    reply = await engine.reply(ask("hello there", stop=(stop,)))
    pieces, end = await streamed(engine, ask("hello there", stop=(stop,)))
    assert (reply.text, reply.finish) == (expected, "stop")
    assert ("".join(pieces), end.text, end.finish) == (expected, expected, "stop")


async def test_a_listener_that_leaves_ends_the_work(
    engine: DialogueEngine, backend: EmbeddedBackend[DecoderState]
) -> None:
    stream = engine.stream(ask("hello there", options=Generation(num_beams=1, max_new_tokens=60)))
    await anext(stream)
    assert backend.pending_tokens > 0
    await stream.aclose()
    assert backend.pending_tokens == 0


async def test_replies_do_not_depend_on_their_neighbours(engine: DialogueEngine) -> None:
    questions = ["hello there", "便宜的酒店", "how are you", "please", "north"]
    alone = [await engine.reply(ask(question)) for question in questions]
    together = await asyncio.gather(*(engine.reply(ask(question)) for question in questions))
    assert [reply.text for reply in alone] == [reply.text for reply in together]


async def test_a_draw_is_its_seeds(engine: DialogueEngine) -> None:
    def drawn(seed: int | None) -> ReplyRequest:
        options = RequestOptions.of(LONG, num_beams=1, sample=True, temperature=2.0, seed=seed)
        return ask("hello there", options=options)

    first = [(await engine.reply(drawn(seed))).text for seed in range(4)]
    again = await asyncio.gather(*(engine.reply(drawn(seed)) for seed in range(4)))
    assert [reply.text for reply in again] == first
    assert len(set(first)) > 1
    pieces, reply = await streamed(engine, drawn(2))
    assert "".join(pieces) == reply.text == first[2]
    assert len({(await engine.reply(drawn(None))).text for _ in range(4)}) > 1


async def test_bad_words_are_not_said(engine: DialogueEngine) -> None:
    said = (await engine.reply(ask("hello there"))).text
    word = next(char for char in said if char.isprintable() and not char.isspace())
    reply = await engine.reply(ask("hello there", options=RequestOptions.of(LONG, bad_words=(word,))))
    assert reply.tokens == 24
    beginnings = {reply.text[:1], *(after[:1] for after in reply.text.split(" ")[1:])}
    assert word not in beginnings


def test_a_bad_word_is_forbidden_at_the_start_and_after_a_space() -> None:
    tokenizer = tiny_tokenizer()
    assert {tokenizer.decode(tokens) for tokens in bad_tokens(("hotel", "谢谢"), tokenizer)} == {
        "hotel", " hotel", "谢谢", " 谢谢",
    }  # fmt: skip
    longest = max(bad_tokens(("\x00" * BAD_WORD_BYTES,), tokenizer), key=len)
    assert len(longest) == MAX_SEQUENCE_TOKENS, "the longest word that a request may name is one that the search takes"


async def test_the_best_and_the_next_best(engine: DialogueEngine) -> None:
    reply = await engine.reply(replace(ask("hello there"), replies=3))
    best = await engine.reply(ask("hello there"))
    assert replace(reply, others=()) == best
    assert [reply.score, *(other.score for other in reply.others)] == sorted(
        (reply.score, *(other.score for other in reply.others)), reverse=True
    )
    assert len({reply.score, *(other.score for other in reply.others)}) == 3, "texts of different tokens may be equal"
    assert reply.margin == reply.score - reply.others[0].score


async def test_a_least_length_past_the_positions_means_all_positions(engine: DialogueEngine) -> None:
    options = RequestOptions.of(Generation(num_beams=1, max_new_tokens=256), min_new_tokens=256)
    assert (await engine.reply(ask("hello", options=options))).tokens == POSITIONS


async def test_more_tokens_than_positions_means_all_positions(engine: DialogueEngine) -> None:
    reply = await engine.reply(ask("hello", options=Generation(num_beams=1, max_new_tokens=256)))
    assert reply.tokens <= POSITIONS


async def test_warm_up_asks_once(engine: DialogueEngine, backend: EmbeddedBackend[DecoderState]) -> None:
    asked: list[GenerationOptions] = []
    generate = backend.generate

    async def watched(request):  # type: ignore[no-untyped-def]
        asked.append(request.options)
        return await generate(request)

    backend.generate = watched  # type: ignore[method-assign]
    await engine.warm_up(ask("hello"))
    assert [options.num_beams for options in asked] == [3]
