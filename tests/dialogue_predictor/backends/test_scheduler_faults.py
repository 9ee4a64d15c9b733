"""What a fault of the engine costs the scheduler, round by round: those it was met with, and nobody else."""

import asyncio

import pytest

from dialogue_predictor.backends.base import GenerationRequest
from dialogue_predictor.backends.embedded import EmbeddedBackend
from dialogue_predictor.backends.job import Job
from dialogue_predictor.backends.waiting import WaitingRoom
from dialogue_predictor.backends.worker import News, Worker
from dialogue_predictor.errors import BackendFailed
from support.asking import BEAMS, GREEDY, Asking, Counting
from support.by_hand import LIMITS, ByHand, StillClock, run, settle
from support.echo_model import IDS, Call, EchoModel
from support.gated_model import PATIENCE_SECONDS

FAULTS: list[tuple[Call, int]] = [
    ("encode", 0),
    ("reorder", 0),
    ("reorder", 1),
    ("join", 0),
]


@pytest.mark.parametrize(("call", "after"), FAULTS)
def test_a_fault_while_newcomers_are_admitted_costs_them_alone(
    call: Call, after: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(loop: StillClock) -> None:
        model, told = EchoModel(), Counting()
        backend = ByHand(model, observer=told)
        asking = Asking(backend)
        for word, length in ((5, 6), (6, 5), (7, 7)):
            await asking.ask(word, length)
        await backend.round()
        await asking.ask(8)
        await backend.round()  # the newcomer has to wait for one step
        asking.tasks[5].cancel()  # so that its row can be left out when the newcomer joins
        await settle()
        model.breaks(call, after)
        await backend.round()
        await asking.ask(9)
        await backend.rounds()
        assert await asking.ends(6, 7, 8, 9) == [(6,) * 5, (7,) * 7, BackendFailed, (9,) * 8]
        assert told.faults == [1]
        assert caplog.text.count("decoding failed") == 1
        assert backend.pending_tokens == 0

    run(story)


@pytest.mark.parametrize("call", ["step", "project", "reorder"])
def test_a_fault_in_a_step_costs_its_lane_and_the_lane_comes_back(call: Call, caplog: pytest.LogCaptureFixture) -> None:
    async def story(loop: StillClock) -> None:
        model, told = EchoModel(), Counting()
        backend = ByHand(model, max_batch_size=4, observer=told)
        asking = Asking(backend)
        for word, options in ((5, GREEDY), (6, GREEDY), (7, BEAMS), (8, BEAMS), (9, GREEDY)):
            await asking.ask(word, options=options)
        await backend.round()  # two lanes of two, and one waits; the greedy one has stepped
        model.breaks(call)
        await backend.rounds()
        assert await asking.ends(5, 6, 9) == [(5,) * 8, (6,) * 8, (9,) * 8]
        assert await asking.ends(7, 8) == [BackendFailed, BackendFailed]
        assert told.faults == [2]
        assert caplog.text.count("decoding failed for 2 requests") == 1
        await asking.ask(10, options=BEAMS)
        await backend.rounds()
        assert await asking.ends(10) == [(10,) * 8]

    run(story)


async def test_a_worker_that_comes_down_altogether_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    model, told = EchoModel(), Counting()
    backend = EmbeddedBackend(model, IDS, LIMITS, observer=told)
    async with asyncio.timeout(PATIENCE_SECONDS):
        model.fatal = SystemExit("a library wanted to go")
        ends = await asyncio.gather(
            *(backend.generate(GenerationRequest((word,), GREEDY)) for word in (5, 6)), return_exceptions=True
        )
        assert [type(end) for end in ends] == [BackendFailed, BackendFailed]
        model.fatal = None
        assert (await backend.generate(GenerationRequest((7,), GREEDY))).best.tokens == (7,)
        assert told.faults == [2]
        await backend.drain()
        await backend.close()


def test_poisoned_scores_are_counted_too_and_cost_nobody_else() -> None:
    async def story(loop: StillClock) -> None:
        model, told = EchoModel(), Counting()
        model.poisoned = {6}
        backend = ByHand(model, observer=told)
        asking = Asking(backend)
        for word in (5, 6, 7):
            await asking.ask(word)
        await backend.rounds()
        assert await asking.ends(5, 6, 7) == [(5,) * 8, BackendFailed, (7,) * 8]
        assert told.faults == [1]

    run(story)


@pytest.mark.parametrize("poisoned", [True, False])
def test_what_has_failed_is_gone_before_the_event_loop_knows(poisoned: bool) -> None:
    model, told = EchoModel(), list[News]()
    room = WaitingRoom(workers=1, max_batch_size=4, max_queue=4, continuous=True)
    worker = Worker(0, room, model, IDS)
    room.add(Job(GenerationRequest((5,) * 8, GREEDY), watched=True, since=0.0))
    if poisoned:
        model.poisoned = {5}
    else:
        model.breaks("step", after=1)
    while worker.round(0.0, told.append):
        pass
    assert [requests for news in told for requests, _ in news.faults] == [1]
    assert sum(len(news.left) for news in told) == 1
    assert not worker._lanes
    assert model.calls["step"] == (1 if poisoned else 2)
