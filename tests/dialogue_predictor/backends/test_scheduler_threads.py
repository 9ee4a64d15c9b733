"""The scheduler with its threads, at random: replies are those of nobody else around, and nobody is lost."""

import asyncio
import random

import pytest

from dialogue_predictor.backends.base import GenerationRequest
from dialogue_predictor.backends.embedded import EmbeddedBackend
from dialogue_predictor.backends.limits import Limits
from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.decoding.outcome import Outcome
from dialogue_predictor.decoding.search import decode
from dialogue_predictor.errors import BackendFailed, DeadlineExceeded, Overloaded
from dialogue_predictor.model.incremental import IncrementalModel
from support.by_hand import LIMITS
from support.echo_model import FIRST_WORD, IDS, VOCABULARY, Call, EchoModel
from support.gated_model import PATIENCE_SECONDS
from support.tiny_models import random_options, random_sources, tiny_model, token_ids

CALLS: tuple[Call, ...] = ("encode", "step", "reorder", "join")


async def some_time(dice: random.Random) -> None:
    """Other tasks and threads get on for a while."""
    for _ in range(dice.choice([0, 0, 1, 5, 50])):
        await asyncio.sleep(0)


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_reply_does_not_depend_on_who_else_is_decoded(workers: int) -> None:
    """In float64, where rounding cannot change a comparison: the very same tokens as alone."""
    dice = random.Random(workers)
    model = tiny_model(2).double()
    engine, ids = IncrementalModel(model), token_ids(model.config)
    few = [random_options(dice, max_new_tokens=dice.choice([5, 12])) for _ in range(3)]
    few += [random_options(dice, max_new_tokens=12, num_beams=beams, sample=True, top_p=0.9) for beams in (1, 2)]
    requests = [
        GenerationRequest(tuple(source), dice.choice(few), seed=dice.randrange(1 << 40), tenant=dice.choice("ab"))
        for source in random_sources(dice, 80, longest=30)
    ]
    backend = EmbeddedBackend(engine, ids, Limits(60, 64), max_batch_size=6, workers=workers)

    async def later(request: GenerationRequest) -> Outcome:
        await some_time(dice)
        return await backend.generate(request)

    async with asyncio.timeout(PATIENCE_SECONDS):
        outcomes = await asyncio.gather(*map(later, requests))
    for request, outcome in zip(requests, outcomes, strict=True):
        alone = decode(engine, [request.source], request.options, ids, seeds=[request.seed])[0]
        assert [each.tokens for each in outcome.hypotheses] == [each.tokens for each in alone.hypotheses]
        assert [each.score for each in outcome.hypotheses] == pytest.approx(
            [each.score for each in alone.hypotheses], rel=1e-5
        )
    await backend.close()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("continuous", [True, False])
async def test_under_load_everybody_gets_one_end(seed: int, continuous: bool) -> None:
    dice = random.Random(seed)
    model = EchoModel()
    loop = asyncio.get_running_loop()
    backend = EmbeddedBackend(
        model, IDS, LIMITS, max_batch_size=4, max_queue=20, workers=1 + seed % 3, continuous=continuous
    )
    few = [GenerationOptions(num_beams=beams, max_new_tokens=10, no_repeat_ngram=0) for beams in (1, 2)]

    async def once(number: int) -> str:
        await some_time(dice)
        length = dice.randint(1, 9)
        source = tuple(dice.randrange(FIRST_WORD, VOCABULARY) for _ in range(length))
        deadline = loop.time() + dice.choice([-1.0, 0.001]) if dice.random() < 0.1 else None
        request = GenerationRequest(source, dice.choice(few), deadline, tenant=str(number % 3))
        if dice.random() < 0.05:
            model.breaks(dice.choice(CALLS))
        asked = asyncio.create_task(backend.generate(request))
        if dice.random() < 0.1:
            await some_time(dice)
            asked.cancel()
        try:
            outcome = await asked
        except (BackendFailed, DeadlineExceeded, Overloaded, asyncio.CancelledError) as error:
            return type(error).__name__
        assert outcome.best.tokens == source
        return "answered"

    async with asyncio.timeout(PATIENCE_SECONDS):
        ends = []
        for _ in range(5):
            ends += await asyncio.gather(*map(once, range(40)))
        await backend.drain()
    assert len(ends) == 200
    assert ends.count("answered") > 50
    assert backend.pending_tokens == 0
    await backend.close()
