"""The scheduler round by round, with nothing left to chance: who comes in, who gets on, and who leaves."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest

from dialogue_predictor.backends.admission import STEP_SOURCE_TOKENS
from dialogue_predictor.backends.base import GenerationRequest
from dialogue_predictor.errors import DeadlineExceeded, Overloaded
from support.asking import BEAMS, GREEDY, Asking, Counting
from support.by_hand import ByHand, StillClock, run, settle
from support.echo_model import EchoModel


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
