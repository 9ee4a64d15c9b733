"""Evidence from a real Prometheus, and from what only looks like one."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dialogue_operator.api.rollout import Gate
from dialogue_operator.cluster.evidence import prometheus as module
from dialogue_operator.cluster.evidence import source_of
from dialogue_operator.cluster.evidence.prometheus import Prometheus
from dialogue_operator.rollout.evidence import Answer, Evidence, Tally
from dialogue_operator.rollout.questions import Count
from support.objects import model
from support.prometheus import Page, Web, prometheus_of
from support.prometheus import Prometheus as Running

STABLE, CANDIDATE, VARIANT = "aaaaaaaa", "bbbbbbbb", "cccccccc"
REVISIONS = {STABLE: STABLE, CANDIDATE: CANDIDATE, VARIANT: STABLE}
MODEL = model(status__stableRevision=STABLE)
Json = dict[str, Any]


def gate(name: str = "gate", **more: Any) -> Gate:
    return Gate(name=name, min_samples=1, **({"max": "1"} | more))


LATENCY = gate("latency", metric="latencyP95")
ALL = (LATENCY, gate("tokens", metric="tokensPerReply"), gate("margins", metric="beamMargin"))


@dataclass
class World:
    """A Prometheus that scrapes two pods of the stable revision and one of the candidate."""

    prometheus: Running
    stable: tuple[Page, Page]
    candidate: Page
    webs: tuple[Web, ...]

    async def look(self, since: datetime, *gates: Gate, model: Any = MODEL) -> Evidence:
        return await Prometheus(self.prometheus.url).gather(model, Count(REVISIONS, since, 3, 2, gates or ALL))

    async def look_until(self, since: datetime, requests: float, *gates: Gate) -> Evidence:
        """Looks again until the candidate has so many requests."""
        until = time.monotonic() + 30
        while True:
            found = await self.look(since, *gates)
            assert found.problem == ""
            if found.tallies[CANDIDATE].requests >= requests:
                return found
            assert time.monotonic() < until, found

    def begin(self) -> datetime:
        """A step begins: nothing happens before it has been seen."""
        self.prometheus.wait_for_a_scrape()
        since = datetime.now(UTC)
        self.prometheus.wait_for_a_scrape()
        return since


@pytest.fixture(scope="module")
def world(prometheus_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    pages = [Page(), Page(), Page()]
    for page, revisions in zip(pages, ((STABLE, VARIANT), (STABLE, VARIANT), (CANDIDATE,)), strict=True):
        for revision in revisions:
            page.show(revision)
            page.request(revision, times=1000)
    webs = [Web(page) for page in pages]
    targets = {f"127.0.0.1:{web.port}": {"namespace": "assistants"} for web in webs}
    folder = tmp_path_factory.mktemp("prometheus")
    with prometheus_of(prometheus_program, folder, targets) as running:
        yield World(running, (pages[0], pages[1]), pages[2], tuple(webs))
    for web in webs:
        web.close()


async def test_tallies_are_exactly_what_the_pods_counted_since_the_step_began(world: World) -> None:
    since = world.begin()
    for page in world.stable:
        page.request(STABLE, times=20)
        page.request(STABLE, "client_error", times=7)
        page.request(VARIANT, times=3)
    world.candidate.reply(CANDIDATE, times=9)
    world.candidate.reply(CANDIDATE, "degenerate", tokens=40, margin=0.01)
    world.candidate.vote(CANDIDATE, "up", 4)
    world.candidate.vote(CANDIDATE, "down", 2)
    world.prometheus.wait_for_a_scrape()
    world.candidate.request(CANDIDATE, seconds=0.05, times=10)
    world.candidate.request(CANDIDATE, "server_error", seconds=0.7, times=2)
    world.candidate.request(CANDIDATE, "shed", times=5)
    world.candidate.request(CANDIDATE, seconds=2.0)
    found = await world.look_until(since, 13)
    assert (found.rollout_id, found.step, found.problem) == (3, 2, "")
    candidate = found.tallies[CANDIDATE]
    assert (candidate.requests, candidate.errors) == (13, 2)
    assert (candidate.seconds.bounds, candidate.seconds.counts) == ((0.1, 0.5, 1.0), (10, 0, 2, 1))
    assert candidate.seconds.total == pytest.approx(10 * 0.05 + 2 * 0.7 + 2.0)
    assert (candidate.replies, candidate.degenerate, candidate.feedback, candidate.negative) == (10, 1, 6, 2)
    assert (candidate.tokens.counts, candidate.tokens.total) == ((0, 9, 1, 0), 9 * 8 + 40)
    assert (candidate.margins.counts, candidate.margins.samples) == ((1, 9, 0), 10)
    assert (found.tallies[STABLE].requests, found.tallies[VARIANT].requests) == (40, 6)


async def test_a_pod_that_restarts_keeps_what_it_counted(world: World) -> None:
    since = world.begin()
    world.candidate.request(CANDIDATE, times=40)
    await world.look_until(since, 40)
    world.candidate.restart()
    world.candidate.show(CANDIDATE)
    world.prometheus.wait_for_a_scrape()
    world.candidate.request(CANDIDATE, times=20)
    found = await world.look_until(since, 60)
    # where a counter began anew Prometheus extrapolates, by up to two of the few scrapes that this step has
    assert found.tallies[CANDIDATE].requests <= 60 * 1.75


async def test_buckets_are_asked_for_only_where_a_gate_looks_at_them(world: World) -> None:
    since = world.begin()
    world.candidate.request(CANDIDATE)
    found = await world.look_until(since, 1, gate(metric="errorRate"))
    assert found.tallies[CANDIDATE].seconds.counts == ()
    found = await world.look(since, LATENCY)
    assert found.tallies[CANDIDATE].seconds.samples >= 1
    assert found.tallies[CANDIDATE].tokens.counts == ()


async def test_nothing_is_known_of_another_namespace_or_model(world: World) -> None:
    since = datetime.now(UTC) - timedelta(minutes=5)
    assert (await world.look(since, model=model("concierge", "elsewhere"))).tallies == {}
    assert (await world.look(since, model=model("another"))).tallies == {}


async def test_a_query_is_filled_in_and_its_answers_are_counted(world: World) -> None:
    query = 'sum(dialogue_requests_total{revision="$revision",model="$model",namespace="$namespace",outcome="ok"})'
    world.prometheus.wait_for_a_scrape()
    since = datetime.now(UTC) - timedelta(minutes=10)
    found = await world.look(since, gate("custom", query=query), gate("words", query="vector(2) # $5 a piece"))
    assert found.problem == ""
    ok = world.prometheus.number(f'sum(dialogue_requests_total{{revision="{CANDIDATE}",outcome="ok"}})')
    assert found.answers["custom", CANDIDATE].value == ok > 0
    assert found.answers["custom", VARIANT].value != ok
    assert ("custom", STABLE) not in found.answers
    assert found.answers["words", CANDIDATE] == Answer(2.0, 60)  # ten minutes, a look every ten seconds
    assert 0 < found.answers["custom", CANDIDATE].count < 60  # it had nothing to say before this test began


async def test_a_scalar_counts_as_an_answer(world: World) -> None:
    found = await world.look(datetime.now(UTC) - timedelta(minutes=1), gate(query="scalar(vector(3))"))
    assert found.answers["gate", CANDIDATE] == Answer(3.0, 6)


async def test_answers_that_were_no_finite_number_do_not_count(world: World) -> None:
    a_minute_ago = time.time() - 60
    query = f"vector(1) / (vector(time()) > bool {a_minute_ago})"
    found = await world.look(datetime.now(UTC) - timedelta(minutes=10), gate(query=query))
    assert found.answers["gate", CANDIDATE].value == 1
    assert 5 <= found.answers["gate", CANDIDATE].count <= 7


async def test_a_long_step_costs_no_more_looks_than_a_short_one(world: World) -> None:
    found = await world.look(datetime.now(UTC) - timedelta(hours=24), gate(query="vector(1)"))
    assert found.answers["gate", CANDIDATE].count == pytest.approx(8640, rel=0.02)


@pytest.mark.parametrize("query", ["vector(0) / 0", "vector(1) / 0", "vector(1) > 2", "up"])
async def test_what_is_not_one_finite_number_is_no_answer(world: World, query: str) -> None:
    found = await world.look(datetime.now(UTC), gate(query=query))
    assert found.answers["gate", CANDIDATE] == Answer(None, 0)
    assert found.problem == ""


async def test_a_query_that_prometheus_refuses_is_named_and_costs_the_other_gates_nothing(world: World) -> None:
    found = await world.look(datetime.now(UTC) - timedelta(minutes=1), gate("typo", query="sum(("), LATENCY)
    assert "gate typo: " in found.problem
    assert "parse error" in found.problem
    assert found.answers["typo", CANDIDATE] == Answer(None, 0)
    assert CANDIDATE in found.tallies


async def test_a_prometheus_that_ends_is_a_problem_and_no_exception(prometheus_program: Path, tmp_path: Path) -> None:
    with prometheus_of(prometheus_program, tmp_path, {}) as running:
        source = Prometheus(running.url)
        assert (await source.gather(MODEL, Count(REVISIONS, datetime.now(UTC), 1, 1, ALL))).problem == ""
        running.stop()
        found = await source.gather(MODEL, Count(REVISIONS, datetime.now(UTC), 1, 1, ALL))
    assert found.problem.startswith(f"Prometheus at {running.url}: ")
    assert not found.tallies


def vector(*values: Any, **labels: Any) -> Json:
    found = {"metric": {"revision": CANDIDATE, "sample": "dialogue_requests_total", "outcome": "ok"} | labels}
    return {"status": "success", "data": {"resultType": "vector", "result": [found | {"value": list(values)}]}}


LIES: dict[str, tuple[int, Any]] = {
    "HTML": (200, "<html>Please log in</html>"),
    "nothing": (200, ""),
    "a list": (200, []),
    "no data": (200, {"status": "success"}),
    "an error that is none": (200, {"status": "error", "error": "shutting down"}),
    "503": (503, {"status": "error", "error": "TSDB not ready"}),
    "a redirect": (302, ""),
    "unauthorized": (401, "who are you?"),
    "NaN": (200, vector(1, "NaN")),
    "less than nothing": (200, vector(1, "-4")),
    "words for numbers": (200, vector(1, "many")),
    "numbers for words": (200, vector(1, 4)),
    "half a value": (200, vector(1)),
    "labels that are none": (200, vector(1, "4", outcome=3)),
    "another revision": (200, vector(1, "4", revision="dddddddd")),
    "another sample": (200, vector(1, "4", sample="up")),
    "a bucket without bound": (200, vector(1, "4", sample="dialogue_request_seconds_bucket", le="x")),
    "a matrix": (200, {"status": "success", "data": {"resultType": "matrix", "result": []}}),
    "a result that is none": (200, {"status": "success", "data": {"resultType": "vector", "result": "?"}}),
    "too many samples": (422, {"status": "error", "error": "query processing would load too many samples"}),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_lie_is_a_problem_and_no_exception(lie: str, serve: Any) -> None:
    status, body = LIES[lie]
    web = serve(lambda *_: (status, body if isinstance(body, str) else json.dumps(body)))
    found = await Prometheus(web.url).gather(MODEL, Count(REVISIONS, datetime.now(UTC), 1, 1, ALL))
    assert found.problem.startswith(f"Prometheus at {web.url}: ")
    assert len(found.problem) <= 500
    assert found.tallies == {}
    assert found.answers == {}


async def test_an_answer_without_end_is_not_read_to_its_end(serve: Any) -> None:
    web = serve(lambda *_: (200, " " * (9 * 1024 * 1024) + json.dumps(vector(1, "4"))))
    found = await Prometheus(web.url).gather(MODEL, Count(REVISIONS, datetime.now(UTC), 1, 1, ALL))
    assert "an answer of more than 8388608 bytes" in found.problem


async def test_one_that_hangs_is_given_up_in_time(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.3)
    web = serve(lambda *_: (200, ""))
    web.hangs = True
    found = await Prometheus(web.url).gather(MODEL, Count(REVISIONS, datetime.now(UTC), 1, 1, ALL))
    assert found.problem == f"Prometheus at {web.url}: no answer in time"
    assert len(web.asked) == 1


async def test_the_token_is_read_with_each_look(serve: Any, tmp_path: Path) -> None:
    seen: list[str] = []

    def handle(path: str, body: str, headers: Any) -> tuple[int, str]:
        seen.append(headers.get("Authorization", ""))
        return 200, json.dumps(vector(1, "4"))

    token = tmp_path / "token"
    source = source_of(None, serve(handle).url + "/prefix/", token)  # type: ignore[arg-type]
    missing = await source.gather(MODEL, Count(REVISIONS, datetime.now(UTC), 1, 1, ()))
    assert "No such file" in missing.problem
    for word in ("first", "second"):
        token.write_text(word + "\n")
        found = await source.gather(MODEL, Count(REVISIONS, datetime.now(UTC), 1, 1, ()))
        assert found.tallies == {CANDIDATE: Tally(requests=4.0)}
    assert seen == ["Bearer first", "Bearer second"]
