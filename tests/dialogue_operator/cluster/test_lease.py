"""Leadership against a real API server behind a proxy that breaks: never two leaders, and never none for long."""

import asyncio
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dialogue_operator.cluster.client import KubeClient, Limits
from dialogue_operator.cluster.credentials import configuration
from dialogue_operator.cluster.errors import NotLeading
from dialogue_operator.cluster.lease import Elector, LeaseName, LeaseTiming
from dialogue_operator.cluster.resources import LEASE
from support.apiserver import ApiServer
from support.kube import Proxy, proxy_to

pytestmark = pytest.mark.cluster

TIMING = LeaseTiming(duration=2.0, deadline=1.2, retry=0.15, call=0.4, silence=0.5)


class Trial:
    """One candidate with everything a test may bend: its clocks, its heartbeat, its way to the API server."""

    def __init__(self, kubeconfig: Path, lease: str) -> None:
        self.kubeconfig, self.name = kubeconfig, LeaseName("default", lease, f"candidate-{uuid.uuid4().hex[:6]}")
        self.skew = timedelta()
        self.jump = 0.0
        self.silence = 0.0
        self.fenced: tuple[str, float] | None = None  # why, and when by the real clock
        self.led = asyncio.Event()
        self.elector: Elector | None = None

    @property
    def leads(self) -> bool:
        try:
            assert self.elector is not None
            self.elector.require_leading()
        except NotLeading:
            return False
        return True

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Trial"]:
        client = KubeClient(
            await configuration(self.kubeconfig), Limits(connect=TIMING.call, total=TIMING.call, retry=0.0)
        )
        self.elector = Elector(
            client, self.name, TIMING,
            clock=lambda: time.monotonic() + self.jump, silence=lambda: self.silence,
            fence=self._fence, on_leading=self.led.set, wall=lambda: datetime.now(UTC) + self.skew,
        )  # fmt: skip
        task = asyncio.create_task(self.elector.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await client.close()

    async def stop(self) -> None:
        assert self.elector is not None
        self.elector.stop()

    def _fence(self, reason: str) -> None:
        self.fenced = (reason, time.monotonic())


async def until(holds: Callable[[], object], seconds: float = 10.0) -> float:
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what is waited for lives behind a network
            await asyncio.sleep(0.02)
    return time.monotonic() - began


@pytest.fixture
def proxy(api_server: ApiServer, tmp_path: Path) -> Iterator[Proxy]:
    with proxy_to(api_server.kubeconfig, tmp_path) as proxy:
        yield proxy


@pytest.fixture
def lease() -> str:
    return f"lease-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def trial(proxy: Proxy, tmp_path: Path, lease: str) -> Trial:
    return Trial(proxy.kubeconfig(tmp_path), lease)


@pytest.fixture
def rival(api_server: ApiServer, lease: str) -> Trial:
    """Another candidate whose way to the API server is sound."""
    return Trial(api_server.kubeconfig, lease)


async def test_the_first_candidate_makes_the_lease_and_leads(trial: Trial, api_server: ApiServer) -> None:
    async with trial.running():
        await until(lambda: trial.leads)
        client = KubeClient(await configuration(api_server.kubeconfig))
        found = await client.get(LEASE, "default", trial.name.name)
        await client.close()
    assert found["spec"]["holderIdentity"] == trial.name.identity
    assert found["spec"]["leaseTransitions"] == 0


async def test_of_two_candidates_at_once_exactly_one_leads(trial: Trial, rival: Trial) -> None:
    async with trial.running(), rival.running():
        await until(lambda: trial.leads or rival.leads)
        until_time = time.monotonic() + 2 * TIMING.duration
        while time.monotonic() < until_time:
            assert trial.leads != rival.leads
            await asyncio.sleep(0.02)


async def test_a_released_lease_is_taken_at_once(trial: Trial, rival: Trial) -> None:
    async with trial.running():
        await until(lambda: trial.leads)
        async with rival.running():
            await trial.stop()
            assert await until(lambda: rival.leads) < TIMING.duration / 2
    assert trial.fenced is None


async def test_a_dead_leader_s_lease_is_taken_when_it_has_run_out_and_not_before(trial: Trial, rival: Trial) -> None:
    async with trial.running():
        await until(lambda: trial.leads)
    died = time.monotonic()
    async with rival.running():
        await until(lambda: rival.leads)
        assert time.monotonic() - died > TIMING.duration - 2 * TIMING.retry
        client = KubeClient(await configuration(rival.kubeconfig))
        assert (await client.get(LEASE, "default", rival.name.name))["spec"]["leaseTransitions"] == 1
        await client.close()


@pytest.mark.parametrize("how", ["refuse", "hang"])
async def test_a_leader_that_cannot_reach_the_api_ends_before_another_leads(
    trial: Trial, rival: Trial, proxy: Proxy, how: str
) -> None:
    async with trial.running():
        await until(lambda: trial.leads)
        async with rival.running():
            proxy.broken = "refuse" if how == "refuse" else "hang"
            await until(lambda: rival.leads)
            taken = time.monotonic()
            assert trial.fenced is not None
            assert trial.fenced[1] < taken
            assert not trial.leads


async def test_an_api_that_fails_for_a_moment_changes_no_leader(trial: Trial, rival: Trial, proxy: Proxy) -> None:
    async with trial.running():
        await until(lambda: trial.leads)
        async with rival.running():
            proxy.status = 503
            await asyncio.sleep(TIMING.deadline / 2)
            proxy.status = 0
            await asyncio.sleep(TIMING.duration)
            assert trial.leads
            assert not rival.leads
    assert trial.fenced is None


async def test_a_renewal_that_got_through_unheard_is_not_mistaken_for_a_rival(trial: Trial, proxy: Proxy) -> None:
    async with trial.running():
        await until(lambda: trial.leads)
        assert trial.elector is not None
        trial.elector._lease = {**trial.elector._lease, "metadata": {**trial.elector._lease["metadata"]}}
        trial.elector._lease["metadata"]["resourceVersion"] = "1"  # as after a reply that was lost
        await asyncio.sleep(TIMING.duration)
        assert trial.leads
    assert trial.fenced is None


async def test_a_leader_whose_work_hangs_lets_go(trial: Trial, rival: Trial) -> None:
    async with trial.running():
        await until(lambda: trial.leads)
        async with rival.running():
            trial.silence = 60.0
            await until(lambda: rival.leads)
            assert trial.fenced is not None
            assert not trial.leads


async def test_a_leader_from_whom_the_lease_was_taken_ends_at_once(trial: Trial, api_server: ApiServer) -> None:
    async with trial.running():
        await until(lambda: trial.leads)
        patch = '{"spec": {"holderIdentity": "usurper"}}'
        api_server.kubectl("patch", "lease", trial.name.name, "--type=merge", "-p", patch)
        assert await until(lambda: trial.fenced) < TIMING.deadline
        assert trial.fenced is not None
        assert trial.fenced[0] == "somebody else holds the Lease"


@pytest.mark.parametrize("hours", [-24, 24])
async def test_wall_clocks_that_disagree_make_no_second_leader(trial: Trial, rival: Trial, hours: int) -> None:
    trial.skew = timedelta(hours=hours)
    async with trial.running():
        await until(lambda: trial.leads)
        async with rival.running():
            await asyncio.sleep(TIMING.duration)
            trial.skew = -trial.skew  # and a jump in mid-flight
            await asyncio.sleep(TIMING.duration)
            assert trial.leads
            assert not rival.leads


async def test_a_leader_that_slept_too_long_writes_nothing_when_it_wakes(trial: Trial) -> None:
    async with trial.running():
        await until(lambda: trial.leads)
        trial.jump = TIMING.duration  # as after SIGSTOP and SIGCONT: much time in one step
        assert not trial.leads


async def test_a_candidate_may_not_write_and_hears_the_lease(trial: Trial, rival: Trial) -> None:
    async with rival.running():
        await until(lambda: rival.leads)
        async with trial.running():
            assert trial.elector is not None
            await until(lambda: trial.elector is not None and trial.elector.heard_seconds is not None)
            with pytest.raises(NotLeading):
                trial.elector.require_leading()


def test_only_the_main_thread_is_left() -> None:
    assert [t.name for t in threading.enumerate() if t.name == "elector"] == []
