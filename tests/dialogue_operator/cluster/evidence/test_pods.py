"""Evidence from pods' own pages, over HTTP, with pods at addresses of their own on loopback."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dialogue_operator import names
from dialogue_operator.api.rollout import Gate
from dialogue_operator.cluster.errors import Forbidden
from dialogue_operator.cluster.evidence import pods as module
from dialogue_operator.cluster.evidence import source_of
from dialogue_operator.cluster.evidence.pods import PodPages
from dialogue_operator.cluster.resources import Resource
from dialogue_operator.rollout.evidence import Evidence
from dialogue_operator.rollout.questions import Count
from support.objects import model
from support.prometheus import Page, Web

STABLE, CANDIDATE, VARIANT = "aaaaaaaa", "bbbbbbbb", "cccccccc"
REVISIONS = {STABLE: STABLE, CANDIDATE: CANDIDATE, VARIANT: STABLE}
MODEL = model()
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
QUERY = Gate(name="custom", query="up", max="1", min_samples=1)
Json = dict[str, Any]


@dataclass
class Pods:
    """The API server as this source sees it."""

    items: list[Json] = field(default_factory=list)
    refusal: Exception | None = None

    async def list(
        self, resource: Resource, namespace: str = "", selector: Mapping[str, str] | None = None
    ) -> list[Json]:
        assert (resource.plural, namespace, selector) == ("pods", MODEL.namespace, {names.LABEL_MODEL: MODEL.name})
        if self.refusal:
            raise self.refusal
        return self.items


@dataclass
class World:
    """Pods with a web server each, all on one port, and the source that reads them."""

    serve: Any
    pods: Pods = field(default_factory=Pods)
    now: float = 0.0
    port: int = 0

    def __post_init__(self) -> None:
        self.source = PodPages(self.pods, monotonic=lambda: self.now)

    def pod(self, revision: str, *variants: str, began: datetime = SINCE - timedelta(hours=1)) -> tuple[Page, Web]:
        page = Page()
        number = len(self.pods.items) + 1
        for one in (revision, *variants):
            page.show(one)
        web: Web = self.serve(page, f"127.0.0.{number + 1}", self.port)
        self.port = web.port
        self.source._port = web.port
        status = {
            "phase": "Running",
            "podIP": f"127.0.0.{number + 1}",
            "startTime": began.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        labels = {names.LABEL_MODEL: MODEL.name, names.LABEL_REVISION: revision}
        self.pods.items.append(
            {"metadata": {"name": f"pod-{number}", "uid": f"uid-{number}", "labels": labels}, "status": status}
        )
        return page, web

    async def look(self, step: int = 1, uid: str = MODEL.uid, revisions: Mapping[str, str] = REVISIONS) -> Evidence:
        found = model()
        object.__setattr__(found, "uid", uid)
        return await self.source.gather(found, Count(revisions, SINCE, 1, step, ()))

    async def requests(self, revision: str, step: int = 1) -> float:
        found = await self.look(step)
        assert found.problem == ""
        return found.tallies[revision].requests


@pytest.fixture
def world(serve: Any) -> World:
    return World(serve)


async def test_what_is_counted_is_what_came_after_the_first_look(world: World) -> None:
    (stable, _), (other, _), (candidate, _) = (
        world.pod(STABLE, VARIANT),
        world.pod(STABLE, VARIANT),
        world.pod(CANDIDATE),
    )
    for page in (stable, other, candidate):
        page.request(STABLE, times=500)
    first = await world.look()
    assert (first.rollout_id, first.step, first.problem, first.answers) == (1, 1, "", {})
    assert first.tallies[STABLE].requests == 0
    stable.request(STABLE, times=5)
    other.request(STABLE, "server_error", seconds=0.7, times=2)
    other.request(STABLE, "client_error", times=9)
    other.request(VARIANT, times=4)
    candidate.request(CANDIDATE, seconds=0.05, times=3)
    candidate.reply(CANDIDATE, tokens=40)
    candidate.reply(CANDIDATE, "degenerate", margin=0.01, times=2)
    candidate.vote(CANDIDATE, "up", 3)
    candidate.vote(CANDIDATE, "down")
    for _ in range(2):  # looking again changes nothing
        found = (await world.look()).tallies
        assert (found[STABLE].requests, found[STABLE].errors, found[VARIANT].requests) == (7, 2, 4)
        assert found[STABLE].seconds.counts == (0, 5, 2, 0)
        assert found[CANDIDATE].seconds.counts == (3, 0, 0, 0)
        assert found[CANDIDATE].seconds.total == pytest.approx(0.15)
        assert (found[CANDIDATE].replies, found[CANDIDATE].degenerate) == (3, 2)
        assert (found[CANDIDATE].tokens.counts, found[CANDIDATE].margins.counts) == ((0, 2, 1, 0), (2, 1, 0))
        assert (found[CANDIDATE].feedback, found[CANDIDATE].negative) == (4, 1)


async def test_a_new_step_counts_anew_and_an_old_one_is_forgotten(world: World) -> None:
    page, _ = world.pod(CANDIDATE)
    await world.look(step=1)
    page.request(CANDIDATE, times=5)
    assert await world.requests(CANDIDATE, step=1) == 5
    assert await world.requests(CANDIDATE, step=2) == 0
    page.request(CANDIDATE, times=2)
    assert await world.requests(CANDIDATE, step=2) == 2
    assert await world.requests(CANDIDATE, step=1) == 0


async def test_an_operator_that_restarts_counts_anew(world: World) -> None:
    page, _ = world.pod(CANDIDATE)
    await world.look()
    page.request(CANDIDATE, times=5)
    assert await world.requests(CANDIDATE) == 5
    port = world.source._port
    world.__post_init__()
    world.source._port = port
    assert await world.requests(CANDIDATE) == 0


async def test_all_that_a_pod_younger_than_the_step_counted_belongs_to_the_step(world: World) -> None:
    old, _ = world.pod(CANDIDATE)
    old.request(CANDIDATE, times=100)
    await world.look()
    young, _ = world.pod(CANDIDATE, began=SINCE + timedelta(seconds=1))
    young.request(CANDIDATE, times=7)
    assert await world.requests(CANDIDATE) == 7
    young.request(CANDIDATE)
    assert await world.requests(CANDIDATE) == 8


async def test_a_process_that_restarts_keeps_what_it_counted_before(world: World) -> None:
    page, _ = world.pod(CANDIDATE)
    page.request(CANDIDATE, times=50)
    await world.look()
    page.request(CANDIDATE, times=10)
    assert await world.requests(CANDIDATE) == 10
    page.restart()
    page.show(CANDIDATE)
    page.request(CANDIDATE, "server_error", times=3)
    found = (await world.look()).tallies[CANDIDATE]
    assert (found.requests, found.errors, found.seconds.samples) == (13, 3, 13)


async def test_a_restart_is_seen_by_the_start_time_where_counters_have_grown_past_what_they_were(world: World) -> None:
    page, web = world.pod(CANDIDATE)
    page.request(CANDIDATE, times=5)
    web.handle = lambda *asked: (200, page(*asked)[1] + "process_start_time_seconds 1.0\n")
    await world.look()
    page.restart()
    page.show(CANDIDATE)
    page.request(CANDIDATE, times=8)
    web.handle = lambda *asked: (200, page(*asked)[1] + "process_start_time_seconds 2.0\n")
    assert await world.requests(CANDIDATE) == 8


async def test_what_a_pod_counted_stays_when_it_is_gone(world: World) -> None:
    page, _ = world.pod(CANDIDATE)
    await world.look()
    page.request(CANDIDATE, times=6)
    assert await world.requests(CANDIDATE) == 6
    world.pods.items.clear()
    assert await world.requests(CANDIDATE) == 6
    assert not world.source._kept[MODEL.uid].book.last


async def test_a_pod_that_does_not_answer_is_caught_up_with(world: World) -> None:
    (well, _), (ill, web) = world.pod(CANDIDATE), world.pod(CANDIDATE)
    await world.look()
    well.request(CANDIDATE)
    ill.request(CANDIDATE, times=10)
    web.handle = lambda *_: (500, "")
    assert await world.requests(CANDIDATE) == 1
    web.handle = ill
    assert await world.requests(CANDIDATE) == 11


async def test_revisions_that_are_asked_for_later_were_counted_all_along(world: World) -> None:
    """Else their whole past would fall into the step in which somebody first asks."""
    page, _ = world.pod(STABLE, VARIANT)
    page.request(VARIANT, times=100)
    await world.look(revisions={STABLE: STABLE})
    page.request(VARIANT, times=2)
    assert await world.requests(VARIANT) == 2


async def test_a_pod_that_was_not_asked_for_once_is_not_counted_twice(world: World) -> None:
    page, _ = world.pod(CANDIDATE, began=SINCE + timedelta(seconds=1))
    page.request(CANDIDATE, times=4)
    assert await world.requests(CANDIDATE) == 4
    world.pod(STABLE)
    await world.look(revisions={STABLE: STABLE})
    assert await world.requests(CANDIDATE) == 4


@pytest.mark.parametrize(
    "answer",
    [
        (503, "busy"),
        (200, "<html>hello</html>"),
        (200, ""),
        (200, 'dialogue_requests_total{model="concierge",revision="bbbbbbbb",outcome="ok"} NaN\n'),
        (200, 'dialogue_requests_total{model="concierge",revision="bbbbbbbb",outcome="ok"} -1\n'),
        (200, 'dialogue_requests_total{model="concierge",rev'),
        (200, 'dialogue_request_seconds_bucket{model="concierge",revision="bbbbbbbb",le="x"} 1\n'),
        (302, ""),
        (200, "#" * (9 * 1024 * 1024)),
    ],
)
async def test_pages_that_are_none_are_a_problem_and_no_exception(world: World, answer: tuple[int, str]) -> None:
    _, web = world.pod(CANDIDATE)
    web.handle = lambda *_: answer
    found = await world.look()
    assert found.problem.startswith("metrics of pods: ")
    assert not found.tallies


async def test_pods_that_hang_or_are_gone_are_given_up_in_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POD_SECONDS", 0.2)
    _, web = world.pod(CANDIDATE)
    web.hangs = True
    assert (await world.look()).problem == "metrics of pods: none of 1 answered: pod-1: no answer in time"
    web.close()
    assert "none of 1 answered: pod-1: Cannot connect" in (await world.look()).problem


async def test_a_look_at_many_pods_ends_in_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.3)
    (well, _), (_, web) = world.pod(CANDIDATE), world.pod(CANDIDATE)
    await world.look()
    well.request(CANDIDATE)
    web.hangs = True
    assert await world.requests(CANDIDATE) == 1


async def test_an_api_server_that_refuses_is_a_problem_and_no_exception(world: World) -> None:
    world.pods.refusal = Forbidden("GET pods", 403, "no")
    assert (await world.look()).problem == "metrics of pods: GET pods: no (403)"


async def test_pods_that_do_not_run_yet_are_no_problem(world: World) -> None:
    world.pod(CANDIDATE)
    world.pods.items[0]["status"] = {"phase": "Pending"}
    assert await world.look() == Evidence(1, 1)


async def test_a_gate_with_a_query_is_told_that_it_needs_prometheus(world: World) -> None:
    world.pod(CANDIDATE)
    found = await world.source.gather(MODEL, Count(REVISIONS, SINCE, 1, 1, (QUERY,)))
    assert found.problem == "gate custom: a query needs Prometheus, and none is configured"
    assert found.answers == {}
    assert CANDIDATE in found.tallies


async def test_memory_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_BOOKS", 3)
    for number in range(5):
        await world.look(uid=f"model-{number}")
    assert list(world.source._kept) == ["model-2", "model-3", "model-4"]
    world.now = module.KEPT_SECONDS + 1
    await world.look(uid="model-3")
    assert list(world.source._kept) == ["model-3"]


def test_without_a_url_the_pods_are_read() -> None:
    assert isinstance(source_of(Pods(), ""), PodPages)
