"""The scheduler round by round, with nothing left to chance: who comes in, who gets on, who leaves, and what a fault costs."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest

from dialogue_predictor.backends.admission import STEP_SOURCE_TOKENS
from dialogue_predictor.backends.base import GenerationRequest
from dialogue_predictor.backends.embedded import EmbeddedBackend
from dialogue_predictor.backends.job import Job
from dialogue_predictor.backends.waiting import WaitingRoom
from dialogue_predictor.backends.worker import News, Worker
from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.decoding.outcome import Outcome
from dialogue_predictor.errors import BackendFailed, DeadlineExceeded, Overloaded
from support.by_hand import LIMITS, ByHand, StillClock, run, settle
from support.echo_model import IDS, Call, EchoModel
from support.gated_model import PATIENCE_SECONDS, Measured

GREEDY = GenerationOptions(num_beams=1, max_new_tokens=20, no_repeat_ngram=0)
BEAMS = GenerationOptions(num_beams=2, max_new_tokens=20, no_repeat_ngram=0)


class Counting(Measured):
    def __init__(self) -> None:
        super().__init__()
        self.faults: list[int] = []

    def failed(self, requests: int) -> None:
        self.faults.append(requests)


class Asking:
    """Requests in the background, each with its own words: `word` repeated `length` times."""

    def __init__(self, backend: ByHand) -> None:
        self._backend = backend
        self.tasks: dict[int, asyncio.Task[Outcome]] = {}

    async def ask(
        self,
        word: int,
        length: int = 8,
        options: GenerationOptions = GREEDY,
        deadline: float | None = None,
        tenant: str = "",
    ) -> None:
        request = GenerationRequest((word,) * length, options, deadline, tenant=tenant)
        self.tasks[word] = asyncio.create_task(self._backend.generate(request))
        await settle()

    async def ends(self, *words: int) -> list[tuple[int, ...] | type[BaseException]]:
        found = await asyncio.gather(*(self.tasks[word] for word in words), return_exceptions=True)
        return [end.best.tokens if isinstance(end, Outcome) else type(end) for end in found]


def test_newcomers_join_at_the_next_step_and_leave_when_they_are_done() -> None:
    async def story(loop: StillClock) -> None:
        model = EchoModel()
        backend = ByHand(model)
        asking = Asking(backend)
        await asking.ask(5, length=10)
        for _ in range(3):
            await backend.round()
        await asking.ask(6, length=2)
        await backend.round()
        assert backend.decoding == 2
        for _ in range(2):
            await backend.round()
        assert asking.tasks[6].done()
        assert not asking.tasks[5].done()
        await backend.rounds()
        assert await asking.ends(5, 6) == [(5,) * 10, (6,) * 2]
        assert model.calls["step"] == 11, "a newcomer shares all its steps"

    run(story)


def test_static_batches_wait_for_the_last_of_the_one_before() -> None:
    async def story(loop: StillClock) -> None:
        backend = ByHand(EchoModel(), continuous=False)
        asking = Asking(backend)
        await asking.ask(5, length=6)
        await backend.round()
        await asking.ask(6, length=3)
        await asking.ask(7, length=4)
        while not asking.tasks[5].done():
            assert backend.waiting == 2
            await backend.round()
        await backend.round()
        assert (backend.waiting, backend.decoding) == (0, 2)
        await backend.rounds()
        assert await asking.ends(6, 7) == [(6,) * 3, (7,) * 4]

    run(story)


def test_lanes_take_turns_and_new_ones_do_too() -> None:
    async def story(loop: StillClock) -> None:
        backend = ByHand(EchoModel())
        asking = Asking(backend)
        await asking.ask(5)
        await backend.round()
        await asking.ask(6, options=replace(GREEDY, max_new_tokens=19))
        ended: dict[int, int] = {}
        for number in range(2, 20):
            await backend.round()
            ended |= {word: number for word, task in asking.tasks.items() if task.done() and word not in ended}
        # Each takes nine steps with its end, the first of them with its admission; they alternate from round 2 on.
        assert ended == {5: 14, 6: 16}
        assert await asking.ends(5, 6) == [(5,) * 8, (6,) * 8]

    run(story)


def test_between_two_steps_newcomers_come_in_by_portions_and_others_get_on() -> None:
    async def story(loop: StillClock) -> None:
        model = EchoModel()
        backend = ByHand(model, max_batch_size=64)
        asking = Asking(backend)
        await asking.ask(5, length=8)
        await backend.round()
        length = 60
        portion = STEP_SOURCE_TOKENS // length
        for word in range(6, 30):
            await asking.ask(word, length, options=GREEDY)
        before = model.calls["step"]
        await backend.round()
        assert backend.decoding == 1 + portion
        assert model.calls["step"] == before + 1, "the newcomers' first one, which all share"
        await backend.round()
        assert backend.decoding == 1 + 2 * portion
        await backend.rounds()
        assert await asking.ends(5, 6, 29) == [(5,) * 8, (6,) * 20, (29,) * 20]

    run(story)


@pytest.mark.parametrize(("newcomers", "rounds"), [(1, 2), (2, 1), (4, 1)])
def test_few_newcomers_do_not_hold_up_many_at_once(newcomers: int, rounds: int) -> None:
    async def story(loop: StillClock) -> None:
        model = EchoModel()
        backend = ByHand(model)
        asking = Asking(backend)
        for word in range(5, 9):
            await asking.ask(word, length=15)
        await backend.round()
        for word in range(9, 9 + newcomers):
            await asking.ask(word)
        for _ in range(rounds):
            assert backend.decoding == 4
            await backend.round()
        assert backend.decoding == 4 + newcomers
        assert model.calls["encode"] == 2
        await backend.rounds()
        assert await asking.ends(8, 9) == [(8,) * 15, (9,) * 8]

    run(story)


def test_newcomers_are_encoded_by_similar_length() -> None:
    async def story(loop: StillClock) -> None:
        model = EchoModel()
        backend = ByHand(model)
        asking = Asking(backend)
        for word, length in ((5, 3), (6, 100), (7, 4), (8, 120)):
            await asking.ask(word, length)
        await backend.round()
        assert model.calls["encode"] == 2
        assert [source[0] for source in model.encoded] == [5, 7, 6, 8]
        await backend.rounds()

    run(story)


def test_workers_share_what_there_is() -> None:
    async def story(loop: StillClock) -> None:
        backend = ByHand(EchoModel(), workers=2)
        asking = Asking(backend)
        for word in range(5, 12):
            await asking.ask(word)
        await backend.round(0)
        assert (backend.decoding, backend.waiting) == (4, 3)
        await backend.round(1)
        assert (backend.decoding, backend.waiting) == (7, 0)
        await backend.rounds()
        assert await asking.ends(*range(5, 12)) == [(word,) * 8 for word in range(5, 12)]

    run(story)


def test_a_cancelled_request_gives_its_place_to_the_next_before_another_step() -> None:
    async def story(loop: StillClock) -> None:
        model = EchoModel()
        backend = ByHand(model, max_batch_size=1)
        asking = Asking(backend)
        await asking.ask(5)
        await asking.ask(6)
        await backend.round()
        asking.tasks[5].cancel()
        await settle()
        steps = model.calls["step"]
        await backend.round()
        assert model.encoded[-1][0] == 6
        assert model.calls["step"] == steps + 2, "both the newcomer's"
        await backend.rounds()
        assert await asking.ends(5, 6) == [asyncio.CancelledError, (6,) * 8]

    run(story)


def test_a_deadline_does_so_too_even_where_nobody_listens() -> None:
    async def story(loop: StillClock) -> None:
        model = EchoModel()
        backend = ByHand(model, max_batch_size=1)
        asking = Asking(backend)
        request = GenerationRequest((5,) * 8, GREEDY, deadline=10.0)
        async with aclosing(backend.stream(request)) as parts:
            first = asyncio.ensure_future(anext(parts))
            await settle()
            await backend.round()
            assert (await first).tokens == (5,)
            await asking.ask(6)
            loop.now = 10.0  # while what was streamed is not fetched
            await backend.round()
            assert model.encoded[-1][0] == 6
            heard = [await anext(parts)]  # what was settled before
            with pytest.raises(DeadlineExceeded):
                heard += [part async for part in parts]
            assert [part.outcome for part in heard] == [None] * len(heard)
        await backend.rounds()
        assert await asking.ends(6) == [(6,) * 8]

    run(story)


def test_who_is_late_before_it_is_admitted_never_meets_the_model() -> None:
    async def story(loop: StillClock) -> None:
        model = EchoModel()
        backend = ByHand(model)
        asking = Asking(backend)
        request = GenerationRequest((5,) * 8, GREEDY, deadline=10.0)
        task = asyncio.create_task(backend.generate(request))
        await settle()
        await asking.ask(6)
        loop.now = 10.0
        await backend.rounds()
        with pytest.raises(DeadlineExceeded):
            await task
        assert [source[0] for source in model.encoded] == [6]

    run(story)


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


def test_a_full_room_refuses_the_newcomer_or_whoever_has_most_waiting() -> None:
    async def story(loop: StillClock) -> None:
        backend = ByHand(EchoModel(), max_queue=3)
        asking = Asking(backend)
        for word in (5, 6, 7):
            await asking.ask(word, tenant="flood")
        await asking.ask(8, tenant="flood")
        await asking.ask(9, tenant="quiet")
        await asking.ask(10, tenant="quiet")
        await asking.ask(11, tenant="third")
        await backend.rounds()
        assert await asking.ends(8, 7, 10, 6) == [Overloaded] * 4
        assert await asking.ends(5, 9, 11) == [(5,) * 8, (9,) * 8, (11,) * 8], "a place for each tenant"
        assert backend.pending_tokens == 0

    run(story)


def test_the_observer_hears_of_every_admission() -> None:
    async def story(loop: StillClock) -> None:
        told = Counting()
        backend = ByHand(EchoModel(), observer=told)
        asking = Asking(backend)
        await asking.ask(5)
        await asking.ask(6, options=BEAMS)
        loop.now = 2.0
        await backend.round()
        assert (told.sizes, told.waits) == ([1, 1], [2.0, 2.0])
        await asking.ask(7)
        loop.now = 2.5
        await backend.round()
        assert (told.sizes, told.waits) == ([1, 1, 2], [2.0, 2.0, 0.5])
        assert told.owed[-1] == 3 * GREEDY.max_new_tokens
        await backend.rounds()
        assert told.owed[-1] == 0

    run(story)


def test_what_was_taken_is_answered_while_draining_though_it_is_half_decoded() -> None:
    async def story(loop: StillClock) -> None:
        backend = ByHand(EchoModel(), max_batch_size=1)
        asking = Asking(backend)
        await asking.ask(5)
        await asking.ask(6)
        for _ in range(3):
            await backend.round()
        draining = asyncio.create_task(backend.drain())
        await settle()
        assert not draining.done()
        await backend.rounds()
        await draining
        assert await asking.ends(5, 6) == [(5,) * 8, (6,) * 8]

    run(story)


@pytest.mark.parametrize("name", ["max_batch_size", "max_queue", "workers"])
def test_a_number_below_one_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        ByHand(EchoModel(), **{name: 0})
