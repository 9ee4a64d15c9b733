"""Which looks may use the snapshot, and which events are news."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from dialogue_operator.cluster.client import KubeClient
from dialogue_operator.cluster.errors import Unavailable
from dialogue_operator.cluster.resources import DIALOGUE_MODEL, HTTP_ROUTE
from dialogue_operator.cluster.snapshot import Snapshot, WriteWanted
from dialogue_operator.controller.queue import Key, WorkQueue
from dialogue_operator.controller.resync import Resync
from dialogue_operator.controller.telemetry import Metrics

A, B = ("team", "a"), ("team", "b")


class World(KubeClient):
    """Two models whose snapshot is taken at once, unless it cannot be."""

    def __init__(self) -> None:
        self.looks: list[tuple[str, Key]] = []
        self.has_work: set[Key] = set()
        self.fails = False

    async def take(self) -> Snapshot:
        if self.fails:
            raise Unavailable("GET", 503, "unwell")
        snapshot = Snapshot(self)
        snapshot._objects[DIALOGUE_MODEL] = {A: b"{}", B: b"{}"}
        snapshot.versions = {(DIALOGUE_MODEL, A): "1", (DIALOGUE_MODEL, B): "2", (HTTP_ROUTE, A): "7"}
        return snapshot

    async def live(self, key: Key) -> float | None:
        self.looks.append(("live", key))
        return 5.0

    async def over_snapshot(self, key: Key) -> float | None:
        if key in self.has_work:
            raise WriteWanted("PATCH")
        self.looks.append(("snapshot", key))
        return None

    async def list(self, *_: object, **__: object) -> list[dict[str, dict[str, str]]]:
        return [{"metadata": {"namespace": "team", "name": "a"}}]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()

    async def take(*_: object) -> Snapshot:
        return await world.take()

    monkeypatch.setattr(Snapshot, "take", take)
    return world


@pytest.fixture
def queue() -> WorkQueue:
    return WorkQueue(time.monotonic)


@pytest.fixture
async def resync(world: World, queue: WorkQueue) -> AsyncIterator[Resync]:
    """Its first round is over."""
    resync = Resync(world, queue, (), world.live, lambda snapshot: world.over_snapshot, Metrics())
    running = asyncio.create_task(resync.run(300.0))
    await resync.first.wait()
    yield resync
    running.cancel()


async def test_each_model_is_looked_at_once_over_the_snapshot(world: World, queue: WorkQueue, resync: Resync) -> None:
    assert [await queue.get(), await queue.get()] == [A, B]
    assert await resync(A) is None
    await resync(A)
    await resync(B)
    assert world.looks == [("snapshot", A), ("live", A), ("snapshot", B)]


async def test_whoever_has_something_to_write_does_it_live(world: World, resync: Resync) -> None:
    world.has_work = {A}
    assert await resync(A) == 5.0
    assert world.looks == [("live", A)]


async def test_the_versions_that_a_watch_begins_with_are_no_news(
    world: World, queue: WorkQueue, resync: Resync
) -> None:
    resync.heard(A, DIALOGUE_MODEL, A, "1")
    resync.heard(A, HTTP_ROUTE, A, "7")
    await resync(A)
    assert queue.depth == 2
    assert world.looks == [("snapshot", A)]


@pytest.mark.parametrize("version", ["3", ""], ids=["changed", "deleted"])
async def test_after_news_a_look_is_live(world: World, queue: WorkQueue, resync: Resync, version: str) -> None:
    await queue.get()
    await queue.get()
    resync.heard(A, HTTP_ROUTE, A, version)
    assert queue.depth == 1
    await resync(A)
    await resync(B)
    assert world.looks == [("live", A), ("snapshot", B)]


async def test_without_a_snapshot_the_models_are_looked_at_one_by_one(world: World, queue: WorkQueue) -> None:
    world.fails = True
    resync = Resync(world, queue, (), world.live, lambda snapshot: world.over_snapshot, Metrics())
    running = asyncio.create_task(resync.run(300.0))
    await resync.first.wait()
    key = await queue.get()
    assert key == A
    await resync(A)
    assert world.looks == [("live", A)]
    running.cancel()


async def test_a_model_at_work_while_the_snapshot_is_taken_is_looked_at_live(world: World, queue: WorkQueue) -> None:
    queue.add(A)
    assert await queue.get() == A
    resync = Resync(world, queue, (), world.live, lambda snapshot: world.over_snapshot, Metrics())
    running = asyncio.create_task(resync.run(300.0))
    await resync.first.wait()
    queue.done(A)
    await resync(A)
    assert world.looks == [("live", A)]
    running.cancel()
