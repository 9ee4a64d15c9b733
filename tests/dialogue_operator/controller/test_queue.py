"""The work queue with a clock of the test's own: nothing here waits in real time."""

import asyncio

import pytest

from dialogue_operator.controller.queue import LONGEST_DELAY_SECONDS, WorkQueue, wait_until

A, B, C = ("team", "a"), ("team", "b"), ("team", "c")


class Clock:
    """Time that moves only when somebody waits for it, or the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def wait(self, changed: asyncio.Event, seconds: float | None) -> None:
        if seconds is None:
            await changed.wait()
        else:
            self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> WorkQueue:
    return WorkQueue(clock, clock.wait, jitter=lambda: 1.0)


async def test_the_same_key_twice_is_one_piece_of_work(queue: WorkQueue) -> None:
    queue.add(A)
    queue.add(A)
    assert queue.depth == 1
    assert await queue.get() == A
    assert queue.depth == 0


async def test_keys_come_out_in_the_order_in_which_they_fell_due(queue: WorkQueue, clock: Clock) -> None:
    queue.add(B, 2.0)
    queue.add(A, 5.0)
    queue.add(C)
    assert [await queue.get() for _ in range(3)] == [C, B, A]
    assert clock.now == 105.0


async def test_a_key_at_work_is_handed_out_again_only_after_it_is_done(queue: WorkQueue) -> None:
    queue.add(A)
    assert await queue.get() == A
    queue.add(A)
    second = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert not second.done()
    queue.done(A)
    assert await second == A


async def test_other_keys_pass_a_key_that_is_at_work(queue: WorkQueue) -> None:
    queue.add(A)
    await queue.get()
    queue.add(A)
    queue.add(B)
    assert await queue.get() == B


async def test_the_earlier_of_two_wishes_wins(queue: WorkQueue, clock: Clock) -> None:
    queue.add(A, 60.0)
    queue.add(A, 1.0)
    queue.add(A, 30.0)
    await queue.get()
    assert clock.now == 101.0
    assert queue.depth == 0


async def test_a_key_that_rings_all_day_does_not_starve_another(queue: WorkQueue) -> None:
    order = []
    queue.add(A)
    queue.add(B)
    for _ in range(4):
        key = await queue.get()
        assert key is not None
        order.append(key)
        queue.done(key)
        queue.add(key)
    assert order == [A, B, A, B]


async def test_failures_in_a_row_wait_twice_as_long_each_up_to_five_minutes(queue: WorkQueue) -> None:
    delays = [queue.retry(A) for _ in range(12)]
    assert delays[:4] == [0.5, 1.0, 2.0, 4.0]
    assert delays[-1] == LONGEST_DELAY_SECONDS


async def test_a_success_forgets_earlier_failures(queue: WorkQueue) -> None:
    queue.retry(A)
    queue.retry(A)
    queue.succeeded(A)
    assert queue.retry(A) == 0.5


async def test_keys_that_fail_leave_room_for_those_that_do_not(clock: Clock) -> None:
    queue = WorkQueue(clock, clock.wait, jitter=lambda: 1.0, most_failing=1)
    for key in (A, B):
        queue.retry(key)
    queue.add(C, 10.0)
    assert await queue.get() == A
    assert await queue.get() == C  # B is due since long, but one that fails is at work
    assert clock.now == 110.0
    queue.done(A)
    assert await queue.get() == B


async def test_a_key_that_has_to_wait_for_another_does_not_spin(queue: WorkQueue) -> None:
    crowd = [("team", str(number)) for number in range(6)]
    for key in crowd:
        queue.retry(key)
    for _ in range(5):
        await queue.get()
    assert queue._seconds_to_next() is None


def test_waits_after_failures_are_spread(clock: Clock) -> None:
    queue = WorkQueue(clock)
    assert all(0.4 <= queue.retry(("team", str(number))) <= 0.6 for number in range(50))


async def test_an_event_cuts_a_failed_key_s_wait_short(queue: WorkQueue, clock: Clock) -> None:
    for _ in range(9):
        queue.retry(A)
    queue.add(A)
    await queue.get()
    assert clock.now == 100.0


def test_the_oldest_key_s_wait_is_told(queue: WorkQueue, clock: Clock) -> None:
    queue.add(A)
    queue.add(B, 10.0)
    queue.retry(C)
    clock.now += 7.0
    assert (queue.depth, queue.oldest_seconds) == (2, 7.0)
    only_failing_keys_are_left(queue)


def only_failing_keys_are_left(queue: WorkQueue) -> None:
    """Their waiting is no ailment."""
    queue._due.pop(A)
    queue._due.pop(B)
    assert queue.oldest_seconds == 0.0


@pytest.mark.parametrize("workers", [1, 2, 5])
async def test_many_workers_never_share_a_key_and_lose_none(workers: int) -> None:
    queue = WorkQueue(asyncio.get_running_loop().time, wait_until)
    keys = [("team", str(number)) for number in range(20)]
    at_work: set[tuple[str, str]] = set()
    rounds = dict.fromkeys(keys, 0)
    finished = asyncio.Event()

    async def worker() -> None:
        while (key := await queue.get()) is not None:
            assert key not in at_work
            at_work.add(key)
            await asyncio.sleep(0)
            at_work.discard(key)
            rounds[key] += 1
            queue.done(key)
            if rounds[key] < 3:
                queue.add(key)
            if all(count == 3 for count in rounds.values()):
                finished.set()

    for key in keys:
        queue.add(key)
    tasks = [asyncio.create_task(worker()) for _ in range(workers)]
    async with asyncio.timeout(5):
        await finished.wait()
    queue.close()
    await asyncio.gather(*tasks)
    assert set(rounds.values()) == {3}
