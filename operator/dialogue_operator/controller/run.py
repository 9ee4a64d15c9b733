"""The operator process, from its first line to its exit status.

health ─► preflight ─► compete for the Lease ─► workers, resync, doorbells ─► SIGTERM ─► hand over, exit 0
                                                                           └► Lease lost ─► exit 70, at once
"""

import asyncio
import logging
import signal
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any

import kopf
from aiohttp import web

from dialogue_operator import __version__
from dialogue_operator.cluster.capabilities import CapabilitySurvey, ScalingSettings
from dialogue_operator.cluster.client import KubeClient
from dialogue_operator.cluster.credentials import configuration, credentials
from dialogue_operator.cluster.errors import ApiError
from dialogue_operator.cluster.evidence import source_of
from dialogue_operator.cluster.hosts import HostSurvey
from dialogue_operator.cluster.preflight import missing_apis, missing_permissions
from dialogue_operator.cluster.snapshot import Snapshot
from dialogue_operator.controller.candidate import Candidate
from dialogue_operator.controller.handlers import doorbells, kopf_settings
from dialogue_operator.controller.health import Pulse, health_app
from dialogue_operator.controller.queue import WorkQueue
from dialogue_operator.controller.reconcile import Reconciler, Surroundings
from dialogue_operator.controller.resync import Reconcile, Resync
from dialogue_operator.controller.settings import Settings
from dialogue_operator.controller.telemetry import Metrics, configure_logging
from dialogue_operator.controller.workers import work

log = logging.getLogger(__name__)

PREFLIGHT_SECONDS = 2.0
FINISH_SECONDS = 1.5  # what workers get to finish what they began
FAREWELL_SECONDS = 1.0  # what kopf gets to close its watches
DOORBELLS_LOST = CANNOT_START = 1


def run(settings: Settings) -> int:
    """Until SIGTERM or SIGINT; returns the exit status. Losing the Lease does not return: it ends the process."""
    configure_logging()
    try:
        return asyncio.run(_main(settings))
    except (ApiError, OSError) as error:  # no credentials, or the health port is taken
        log.critical("cannot start: %s", error)
        return CANNOT_START


async def _main(settings: Settings) -> int:
    metrics, pulse = Metrics(), Pulse()
    queue = WorkQueue(time.monotonic, most_failing=max(1, settings.workers // 2))
    metrics.watch_queue(lambda: queue.depth, lambda: queue.oldest_seconds)
    stopping = asyncio.Event()
    candidate = Candidate(settings, pulse.silence)
    async with AsyncExitStack() as stack:
        config = await configuration(settings.kubeconfig)
        client = KubeClient(config, settings.limits, metrics.count_answer, candidate.require_leading)
        checker = KubeClient(config, settings.limits, metrics.count_answer)
        stack.push_async_callback(client.close)
        stack.push_async_callback(checker.close)
        _stop_on_signals(stopping)
        beat = asyncio.create_task(pulse.beat())
        stack.callback(beat.cancel)
        app = health_app(pulse, queue, candidate.heard_seconds, metrics.registry)
        await _serve(app, settings, stack)
        log.info("operator %s starts as %s", __version__, settings.identity)
        if not await _before(_preflight(checker, settings, pulse), stopping):
            return 0
        candidate.start()
        if not await _before(candidate.leading.wait(), stopping):
            await candidate.stop()
            return 0
        return await _lead(settings, client, candidate, queue, pulse, metrics, stopping)


async def _lead(
    settings: Settings,
    client: KubeClient,
    candidate: Candidate,
    queue: WorkQueue,
    pulse: Pulse,
    metrics: Metrics,
    stopping: asyncio.Event,
) -> int:
    pulse.leading = True
    pulse.progress()
    metrics.leader.set(1)
    survey = HostSurvey(client, settings.gateway, settings.watch_namespaces, time.monotonic)
    around = Surroundings(
        source_of(client, settings.prometheus_url, settings.prometheus_token_file),
        CapabilitySurvey(client.discover, ScalingSettings(settings.prometheus_url)),
    )
    reconciler = Reconciler(client, survey, settings, metrics, around)

    def over(snapshot: Snapshot) -> Reconcile:
        then = snapshot.survey(settings.gateway, settings.watch_namespaces)
        return Reconciler(snapshot, then, settings, metrics, around)

    resync = Resync(client, queue, settings.watch_namespaces, reconciler, over, metrics)
    one = partial(work, queue, resync, settings.reconcile_seconds, metrics, pulse.progress)
    workers = [asyncio.create_task(one()) for _ in range(settings.workers)]
    resyncing = asyncio.create_task(resync.run(settings.resync_seconds))
    ringing = asyncio.create_task(_ring(settings, resync, stopping))
    waiting = asyncio.create_task(stopping.wait())
    done, _ = await asyncio.wait({ringing, waiting, resyncing, *workers}, return_when=asyncio.FIRST_COMPLETED)
    lost = waiting not in done
    if lost:
        log.error("doorbells or workers ended on their own: %s", [task.exception() for task in done])
    queue.close()
    resyncing.cancel()
    await _finish(workers)
    await candidate.stop()
    metrics.leader.set(0)
    ringing.cancel()
    with suppress(Exception):
        await asyncio.wait({ringing}, timeout=FAREWELL_SECONDS)
    log.info("operator ends")
    return DOORBELLS_LOST if lost else 0


async def _finish(workers: list[asyncio.Task[None]]) -> None:
    """Let reconciles end; one that takes too long is cut, which is no worse than a crash."""
    _, busy = await asyncio.wait(workers, timeout=FINISH_SECONDS)
    for task in busy:
        task.cancel()
    if busy:
        await asyncio.wait(busy, timeout=FINISH_SECONDS)


async def _ring(settings: Settings, resync: Resync, stopping: asyncio.Event) -> None:
    """kopf, embedded. It takes the process' signals when it starts, so they are taken back."""
    await resync.first.wait()  # what its watches begin with is then known
    tasks = await kopf.spawn_tasks(
        registry=doorbells(resync.heard, lambda: credentials(settings.kubeconfig)),
        settings=kopf_settings(),
        standalone=True,
        clusterwide=not settings.watch_namespaces,
        namespaces=settings.watch_namespaces,
    )
    _stop_on_signals(stopping)
    await kopf.run_tasks(tasks, ignored=asyncio.all_tasks() - set(tasks))


def _stop_on_signals(stopping: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)


async def _before(what: Coroutine[Any, Any, object], stopping: asyncio.Event) -> bool:
    """Wait for it; False if the process is told to stop first."""
    wanted = asyncio.create_task(what)
    stopped = asyncio.create_task(stopping.wait())
    done, rest = await asyncio.wait({wanted, stopped}, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    if wanted in done:
        wanted.result()
    return wanted in done


async def _preflight(client: KubeClient, settings: Settings, pulse: Pulse) -> None:
    """Returns when the cluster has what we need; says what is missing each time that changes."""
    while pulse.preflight:
        try:
            apis = await missing_apis(client)
            rights = await missing_permissions(client, settings.watch_namespaces)
        except ApiError as error:
            problem = str(error)
        else:
            lacking = [f"not served: {', '.join(apis)}"] if apis else []
            lacking += [f"not permitted: {', '.join(rights)}"] if rights else []
            problem = "; ".join(lacking)
        if problem and problem != pulse.preflight:
            log.warning("waiting for the cluster: %s", problem)
        pulse.preflight = problem
        if problem:
            await asyncio.sleep(PREFLIGHT_SECONDS)


async def _serve(app: web.Application, settings: Settings, stack: AsyncExitStack) -> None:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, settings.health_address or None, settings.health_port).start()
