"""The scheduler: what waits, what shares a batch, who leaves when, and that nobody is left waiting."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
import torch

from dialogue_predictor.backends.base import Backend, GenerationRequest
from dialogue_predictor.backends.embedded import EmbeddedBackend, embedded
from dialogue_predictor.backends.limits import Limits, check
from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.decoding.outcome import Outcome
from dialogue_predictor.decoding.search import decode
from dialogue_predictor.errors import BackendFailed, DeadlineExceeded, InvalidRequest, NotReady, Overloaded
from dialogue_predictor.model.incremental import DecoderState, IncrementalModel
from support.gated_model import PATIENCE_SECONDS, GatedModel, Measured
from support.tiny_models import random_sources, tiny_model, token_ids

OPTIONS = GenerationOptions(num_beams=2, max_new_tokens=12, no_repeat_ngram=0)
LIMITS = Limits(vocab_size=60, max_positions=64)


@asynccontextmanager
async def gated(**limits: Any) -> AsyncIterator[tuple[GatedModel, EmbeddedBackend[DecoderState]]]:
    model = GatedModel()
    backend = EmbeddedBackend(model, model.ids, LIMITS, **limits)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield model, backend
    finally:
        model.allow(10_000)
        await backend.close()


def ask(*source: int, deadline: float | None = None, options: GenerationOptions = OPTIONS) -> GenerationRequest:
    return GenerationRequest(source or (5, 6), options, deadline)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - gated() bounds it
        await asyncio.sleep(0)


def in_background(backend: Backend, request: GenerationRequest) -> asyncio.Task[Outcome]:
    return asyncio.create_task(backend.generate(request))


async def test_replies_are_those_of_the_search_whatever_the_batch() -> None:
    dice = random.Random(0)
    model = tiny_model(2)
    ids = token_ids(model.config)
    choices = [OPTIONS, GenerationOptions(num_beams=1), GenerationOptions(num_beams=4, max_new_tokens=20)]
    asked = [(source, dice.choice(choices)) for source in random_sources(dice, 40)]
    backend = embedded(model, max_batch_size=4)
    outcomes = await asyncio.gather(
        *(backend.generate(GenerationRequest(tuple(source), options)) for source, options in asked)
    )
    for (source, options), outcome in zip(asked, outcomes, strict=True):
        alone = decode(IncrementalModel(tiny_model(2)), [source], options, ids)[0]
        assert outcome.best.tokens == alone.best.tokens
    assert backend.pending_tokens == 0
    await backend.close()


async def test_a_stream_is_the_reply_and_comes_in_parts() -> None:
    backend = embedded(tiny_model(1, eos_bias=-50.0))
    request = ask(options=GenerationOptions(num_beams=1, max_new_tokens=8, no_repeat_ngram=0))
    parts = [part async for part in backend.stream(request)]
    outcome = await backend.generate(request)
    assert len(parts) == 8
    assert [part.outcome is not None for part in parts] == [False] * 7 + [True]
    assert parts[-1].outcome == outcome
    assert tuple(token for part in parts for token in part.tokens) == outcome.best.tokens
    await backend.close()


async def test_the_first_part_comes_before_the_reply_is_done() -> None:
    async with gated() as (model, backend):
        stream = backend.stream(ask(options=GenerationOptions(num_beams=1, max_new_tokens=8)))
        model.allow(1)
        part = await anext(stream)
        assert (len(part.tokens), part.outcome, model.steps) == (1, None, 1)
        await stream.aclose()


async def test_requests_of_one_moment_with_equal_options_share_a_batch() -> None:
    async with gated() as (model, backend):
        other = GenerationOptions(num_beams=1, max_new_tokens=4)
        asked = [ask(), ask(options=other), ask(7), ask(8, 9), ask(options=other), ask(10)]
        model.allow(10_000)
        await asyncio.gather(*map(backend.generate, asked))
        assert model.batches == [4, 2]


async def test_whoever_comes_while_others_are_decoded_joins_them() -> None:
    async with gated() as (model, backend):
        first = in_background(backend, ask())
        await model.begun()
        later = in_background(backend, ask(7))
        await until(lambda: backend.pending_tokens == 2 * OPTIONS.max_new_tokens)
        model.allow(10_000)
        assert len((await later).best.tokens) == len((await first).best.tokens) == OPTIONS.max_new_tokens
        assert model.steps == OPTIONS.max_new_tokens + 2, (
            "the newcomer took its first step alone, then one more than it"
        )


async def test_requests_gather_while_a_step_is_taken() -> None:
    async with gated() as (model, backend):
        first = in_background(backend, ask())
        await model.begun()
        later = [in_background(backend, ask(7)) for _ in range(5)]
        await until(lambda: backend.pending_tokens == 6 * OPTIONS.max_new_tokens)
        model.allow(10_000)
        await asyncio.gather(first, *later)
        assert model.batches == [1, 5]


async def test_one_request_too_many_is_refused_and_the_others_are_answered() -> None:
    async with gated(max_queue=2) as (model, backend):
        first = in_background(backend, ask())
        await model.begun()
        waiting = [in_background(backend, ask(7)) for _ in range(2)]
        await until(lambda: backend.pending_tokens == 3 * OPTIONS.max_new_tokens)
        with pytest.raises(Overloaded):
            await backend.generate(ask(8))
        model.allow(10_000)
        assert len(await asyncio.gather(first, *waiting)) == 3


async def test_a_cancelled_request_frees_the_worker_between_two_steps() -> None:
    async with gated() as (model, backend):
        task = in_background(backend, ask())
        await model.begun()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert backend.pending_tokens == 0
        model.allow(1)
        await backend.drain()
        assert model.steps == 1


async def test_a_cancelled_request_leaves_the_queue_at_once() -> None:
    async with gated(max_queue=1) as (model, backend):
        first = in_background(backend, ask())
        await model.begun()
        second = in_background(backend, ask(7))
        await until(lambda: backend.pending_tokens == 2 * OPTIONS.max_new_tokens)
        second.cancel()
        await asyncio.wait([second])
        third = in_background(backend, ask(8))
        await until(lambda: third.done() or backend.pending_tokens == 2 * OPTIONS.max_new_tokens)
        model.allow(10_000)
        assert len((await third).best.tokens) == len((await first).best.tokens) == OPTIONS.max_new_tokens
        assert model.batches == [1, 1]


async def test_a_cancelled_neighbour_is_not_noticed() -> None:
    async with gated() as (model, backend):
        tasks = [in_background(backend, ask(word)) for word in (5, 6, 7)]
        await model.begun()
        tasks[1].cancel()
        model.allow(10_000)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [Outcome, asyncio.CancelledError, Outcome]
        expected = decode(model.engine, [[5], [7]], OPTIONS, model.ids)
        answered = [outcome.best.tokens for outcome in outcomes if isinstance(outcome, Outcome)]
        assert answered == [outcome.best.tokens for outcome in expected]


async def test_a_closed_stream_frees_the_worker() -> None:
    async with gated() as (model, backend):
        model.allow(1)
        async with aclosing(backend.stream(ask(options=GenerationOptions(num_beams=1, max_new_tokens=40)))) as stream:
            await anext(stream)
        model.allow(1)
        await backend.drain()
        assert model.steps <= 2


async def test_a_deadline_ends_the_waiting_and_the_work() -> None:
    async with gated() as (model, backend):
        now = asyncio.get_running_loop().time()
        with pytest.raises(DeadlineExceeded):
            await backend.generate(ask(deadline=now + 0.02))
        model.allow(1)
        await backend.drain()
        assert model.steps <= 1
        assert backend.pending_tokens == 0


async def test_a_deadline_passes_in_the_queue_too() -> None:
    async with gated() as (model, backend):
        first = in_background(backend, ask())
        await model.begun()
        with pytest.raises(DeadlineExceeded):
            await backend.generate(ask(7, deadline=asyncio.get_running_loop().time() + 0.02))
        model.allow(10_000)
        await first
        await backend.drain()
        assert model.batches == [1]


async def test_a_failing_batch_fails_its_requests_and_the_worker_lives_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with gated() as (model, backend):
        model.failures = 1
        model.allow(10_000)
        failed = await asyncio.gather(backend.generate(ask(5)), backend.generate(ask(6)), return_exceptions=True)
        assert [type(error) for error in failed] == [BackendFailed, BackendFailed]
        assert "decoding failed for 2 requests" in caplog.text
        model.failures = 1
        with pytest.raises(BackendFailed):
            await anext(backend.stream(ask()))
        assert len((await backend.generate(ask())).best.tokens) == OPTIONS.max_new_tokens


async def test_scores_that_are_no_numbers_fail_their_request_alone() -> None:
    async with gated() as (model, backend):
        model.allow(10_000)
        alone = await backend.generate(ask(6))
        model.poisoned = 1
        poisoned, neighbour = await asyncio.gather(
            backend.generate(ask(5)), backend.generate(ask(6)), return_exceptions=True
        )
        assert isinstance(poisoned, BackendFailed)
        assert isinstance(neighbour, Outcome)
        assert neighbour.best.tokens == alone.best.tokens
        assert model.batches == [1, 2]
        model.poisoned = 1
        with pytest.raises(BackendFailed):
            await anext(backend.stream(ask()))
        assert len((await backend.generate(ask())).best.tokens) == OPTIONS.max_new_tokens


async def test_draining_answers_what_was_taken_and_takes_no_more() -> None:
    async with gated() as (model, backend):
        first = in_background(backend, ask())
        await model.begun()
        second = in_background(backend, ask(7))
        await until(lambda: backend.pending_tokens == 2 * OPTIONS.max_new_tokens)
        draining = asyncio.create_task(backend.drain())
        await until(lambda: not backend._open)
        with pytest.raises(NotReady):
            await backend.generate(ask(8))
        assert not draining.done()
        model.allow(10_000)
        await draining
        assert first.done() or await first
        assert len((await second).best.tokens) == OPTIONS.max_new_tokens


async def test_closing_gives_up_what_was_taken() -> None:
    async with gated() as (model, backend):
        tasks = [in_background(backend, ask())]
        await model.begun()
        tasks.append(in_background(backend, ask(7)))
        await until(lambda: backend.pending_tokens == 2 * OPTIONS.max_new_tokens)
        closing = asyncio.create_task(backend.close())
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [NotReady, NotReady]
        model.allow(1)
        await closing
        assert model.steps == 1
        await backend.close()


async def test_warm_up_decodes_every_size_and_asks_nobody() -> None:
    async with gated(max_batch_size=6) as (model, backend):
        model.allow(10_000)
        await backend.warm_up(OPTIONS)
        assert model.batches == [1, 2, 4, 6]


async def test_the_observer_hears_of_waits_sizes_and_what_is_owed() -> None:
    measured = Measured()
    async with gated(observer=measured) as (model, backend):
        model.allow(10_000)
        await asyncio.gather(backend.generate(ask()), backend.generate(ask(7)))
        assert measured.sizes == [2]
        assert len(measured.waits) == 2
        assert min(measured.waits) >= 0.0
        assert max(measured.owed) == 2 * OPTIONS.max_new_tokens
        assert measured.owed[-1] == 0


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (GenerationRequest((), OPTIONS), "source"),
        (GenerationRequest((5,) * 65, OPTIONS), "source"),
        (GenerationRequest((60,), OPTIONS), "source"),
        (GenerationRequest((-1,), OPTIONS), "source"),
        (GenerationRequest((5,), GenerationOptions(max_new_tokens=65)), "max_new_tokens"),
        (GenerationRequest((5,), GenerationOptions(forced_bos_id=60)), "forced_bos_id"),
        (GenerationRequest((5,), GenerationOptions(forced_eos_id=60)), "forced_eos_id"),
        (GenerationRequest((5,), GenerationOptions(bad_words=((5, 60),))), "bad_words"),
        (GenerationRequest((5,), GenerationOptions(facts=((5, 6), (7, 60)))), "facts"),
        (GenerationRequest((5,), OPTIONS, priority=11), "priority"),
        (GenerationRequest((5,), OPTIONS, priority=-11), "priority"),
    ],
)
async def test_what_would_break_a_batch_is_refused_before_it(request_: GenerationRequest, field: str) -> None:
    async with gated() as (model, backend):
        with pytest.raises(InvalidRequest) as refused:
            await backend.generate(request_)
        assert refused.value.field == field
        assert backend.pending_tokens == 0
        assert model.batches == []


def test_more_beams_than_the_vocabulary_bears_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="num_beams: must be at most half the vocabulary of 7") as refused:
        check(GenerationRequest((5,), GenerationOptions(num_beams=4)), Limits(vocab_size=7, max_positions=64))
    assert refused.value.field == "num_beams"


async def test_the_event_loop_stays_free_while_the_worker_computes() -> None:
    async with gated() as (model, backend):
        task = in_background(backend, ask())
        await model.begun()
        assert not task.done()  # we run although the model stands in the middle of a step
        model.allow(10_000)
        await task


async def test_bf16_answers() -> None:
    backend = embedded(tiny_model(1, eos_bias=-50.0), precision="bf16")
    outcome = await backend.generate(ask())
    assert len(outcome.best.tokens) == OPTIONS.max_new_tokens
    assert torch.isfinite(torch.tensor(outcome.best.score))
    await backend.close()
