"""Memory that is used again: never by two at once, and only so much of it is kept."""

import random
import threading

import torch

from dialogue_predictor.backends.engines.room import Pool, Room

SHAPE = (2, 3, 4, 5, 6)
BYTES = 2 * 720 * 4


def test_memory_that_nobody_holds_is_used_again() -> None:
    pool = Pool()
    room = pool.room(SHAPE, SHAPE)
    first = room.keys.data_ptr()
    other = pool.room(SHAPE, SHAPE)
    assert other.keys.data_ptr() != first
    del room
    assert pool.free_bytes == BYTES
    smaller = pool.room((2, 3, 4, 5, 4), (2, 3, 4, 4, 5))
    assert smaller.keys.data_ptr() == first
    assert smaller.values.data_ptr() == first + BYTES // 3
    assert pool.free_bytes == 0


def test_little_is_not_put_where_much_was() -> None:
    pool = Pool()
    pool.room(SHAPE, SHAPE)
    little = pool.room((2, 3, 4, 5, 1), (2, 3, 4, 5, 1))
    assert pool.free_bytes == BYTES
    assert little.keys.is_contiguous()


def test_only_so_much_is_kept_and_the_longest_unused_goes_first() -> None:
    pool = Pool(kept_bytes=2 * BYTES)
    rooms = [pool.room(SHAPE, SHAPE) for _ in range(4)]
    addresses = [room.keys.data_ptr() for room in rooms]
    while rooms:
        rooms.pop(0)
        assert pool.free_bytes <= 2 * BYTES
    assert {pool.room(SHAPE, SHAPE).keys.data_ptr() for _ in range(2)} <= set(addresses[2:])
    huge = pool.room((2, *SHAPE[1:], 4), (2, *SHAPE[1:], 4))
    del huge
    assert pool.free_bytes <= 2 * BYTES


def test_what_a_batch_grew_out_of_does_not_stay_beside_what_is_larger() -> None:
    pool = Pool()
    small = [pool.room(SHAPE, SHAPE) for _ in range(3)]
    del small
    assert pool.free_bytes == 3 * BYTES
    large = pool.room((2, *SHAPE[1:], 2), (2, *SHAPE[1:], 2))
    assert pool.free_bytes == 0
    assert large.values.shape == (2, *SHAPE[1:], 2)


def test_threads_never_hold_the_same_memory() -> None:
    pool, spoilt = Pool(), list[int]()

    def use(own: int) -> None:
        dice, held = random.Random(own), list[Room]()
        for _ in range(300):
            room = pool.room(SHAPE, SHAPE)
            room.keys.fill_(own)
            room.values.fill_(own)
            held.append(room)
            if len(held) > 2:
                gone = held.pop(dice.randrange(3))
                if not (torch.all(gone.keys == own) and torch.all(gone.values == own)):
                    spoilt.append(own)

    threads = [threading.Thread(target=use, args=(own,)) for own in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not spoilt
