"""`make bench-operator`: what a thousand DialogueModels cost the operator, on the light cluster.

Pods are ready at once there, and the API server, KServe and the operator are the real ones, on the same cores.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from cluster.processes import daemon
from dialogue_operator.cluster.client import KubeClient, Limits
from dialogue_operator.cluster.credentials import configuration
from dialogue_operator.cluster.resources import DIALOGUE_MODEL
from support.kube import Proxy, proxy_to
from support.light import Light, light_cluster
from support.objects import manifest
from support.operators import Operator, operator
from support.stand_in import kserve_rests, stand_in

Json = dict[str, Any]
NAMESPACES = 10
IDLE_SECONDS = 60.0
TICKS = os.sysconf("SC_CLK_TCK")
DEFAULTS = {"lease_seconds": "15"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--changes", type=int, default=500)
    parser.add_argument(
        "--kserve", action="store_true", help="let KServe's own manager make the pods: a model a second"
    )
    given = parser.parse_args()
    with contextmanager(light_cluster)() as light, tempfile.TemporaryDirectory() as folder:
        asyncio.run(bench(light, Path(folder), given.models, given.changes, given.kserve))


async def bench(light: Light, folder: Path, models: int, changes: int, kserve: bool) -> None:
    client = KubeClient(await configuration(light.kubeconfig), Limits(reads_per_second=1e6, writes_per_second=1e6))
    try:
        with nullcontext() if kserve else kserve_rests(light):
            at_work = asyncio.create_task(asyncio.sleep(0) if kserve else stand_in(client))
            await make(client, light, folder, models)
            at_work.cancel()
            await measure(client, light, folder, models, changes)
    finally:
        await client.close()


async def measure(client: KubeClient, light: Light, folder: Path, models: int, changes: int) -> None:
    with operator(light.kubeconfig, folder, **DEFAULTS) as process:
        await catch_up(process, models)
        await idle(process)
    await hand_over(light, folder)
    with proxy_to(light.kubeconfig, folder) as proxy:
        calm = await change(client, proxy, folder, models, changes, poison=False)
        sick = await change(client, proxy, folder, models, changes, poison=True)
    say("neighbours of a poison model, against none", f"{sick:.1f} s against {calm:.1f} s at the 95th percentile")


async def make(client: KubeClient, light: Light, folder: Path, models: int) -> None:
    """Not a figure of the operator's: most of it is the API server's work, or KServe's where that takes part."""
    for number in range(NAMESPACES):
        light.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"team-{number}"}})
    began = time.monotonic()
    with operator(
        light.kubeconfig, folder, **DEFAULTS, reads_per_second="2000", writes_per_second="1000", workers="30"
    ) as process:
        await _many(models, lambda number: _create(client, number))
        await until(f"{models} models are at rest", lambda: _all(client, models, _is_at_rest), 1800.0, every=3.0)
        # Events and late glances at what KServe and the gateway still write.
        await until("nothing more is written", lambda: _quiet(process), 300.0)
    say(f"{models} models made", f"{time.monotonic() - began:.0f} s")


async def catch_up(process: Operator, models: int) -> None:
    server = daemon("apiserver").pid
    await until("it leads", lambda: _now(process.leads), 60.0)
    began, cpu, theirs = time.monotonic(), cpu_seconds(process.process.pid), cpu_seconds(server)
    await until("every model was looked at", lambda: _now(looks(process) >= models and not depth(process)), 300.0)
    wall = time.monotonic() - began
    ours, theirs = cpu_seconds(process.process.pid) - cpu, cpu_seconds(server) - theirs
    say(f"catch-up of {models} models after a start, nothing to do", f"{wall:.1f} s")
    say("  of which the operator computed", f"{ours:.1f} s (the API server {theirs:.1f} s on the same cores)")
    say("  memory, now / at its highest", f"{memory(process, 'VmRSS')} / {memory(process, 'VmHWM')} MiB")
    say("  calls to the API server", f"{requests(process, ('GET',)):.0f} reads, {writes(process):.0f} writes")


async def idle(process: Operator) -> None:
    await asyncio.sleep(5.0)
    before, cpu = writes(process), cpu_seconds(process.process.pid)
    await asyncio.sleep(IDLE_SECONDS)
    used = (cpu_seconds(process.process.pid) - cpu) / IDLE_SECONDS
    say(f"idle for {IDLE_SECONDS:.0f} s", f"{writes(process) - before:.0f} writes, {used:.3f} cores")


async def hand_over(light: Light, folder: Path) -> None:
    """Until the metrics of the other one say that it leads, with the Lease as it is by default."""
    for word, number in (("is told to stop", signal.SIGTERM), ("is killed", signal.SIGKILL)):
        with operator(light.kubeconfig, folder, **DEFAULTS) as first:
            await until("the first leads", lambda: _now(first.leads), 60.0)
            with operator(light.kubeconfig, folder, **DEFAULTS) as second:
                await until("the second is ready", lambda: _now(second.ask("/readyz")[0] == 200), 60.0)
                began = time.monotonic()
                first.process.send_signal(number)
                await until("the second leads", lambda: _now(second.leads), 60.0)
                say(f"the leader {word}: until the other one leads", f"{time.monotonic() - began:.1f} s")


async def change(client: KubeClient, proxy: Proxy, folder: Path, models: int, changes: int, *, poison: bool) -> float:
    """So many sizes are changed at once; the 95th percentile of how long it took until the operator had answered."""
    sick = _name(models - 1) if poison else "/no/such/model"
    proxy.breaks, proxy.broken = lambda verb, path: sick in path, "hang"
    with operator(proxy.kubeconfig(folder), folder, **DEFAULTS) as process:
        await until("it leads", lambda: _now(process.leads), 60.0)
        await until("it has caught up", lambda: _now(looks(process) >= models - 1 and not depth(process)), 300.0)
        if poison:
            await client.apply(_manifest(models - 1, 3))  # it has something to do that will never succeed
        began, cpu = time.monotonic(), cpu_seconds(process.process.pid)
        size = 3 if poison else 2
        asked: dict[tuple[str, str], tuple[int, float]] = {}

        async def ask(number: int) -> None:
            made = await client.apply(_manifest(number, size))
            asked[made["metadata"]["namespace"], made["metadata"]["name"]] = (
                made["metadata"]["generation"], time.monotonic()
            )  # fmt: skip

        await _many(changes, ask)
        seconds = await _answers(client, asked)
        wall, used = time.monotonic() - began, cpu_seconds(process.process.pid) - cpu
        what = f"{changes} changes at once" + (", one more model hangs in every call" if poison else "")
        tail = statistics.quantiles(seconds, n=20)[-1]
        say(what, f"{wall:.1f} s, {used:.1f} s computed; median {statistics.median(seconds):.1f} s, 95 % {tail:.1f} s")
        await until("all at rest", lambda: _all(client, models - poison, _is_at_rest), 600.0, every=3.0)
        return tail


async def _answers(client: KubeClient, asked: dict[tuple[str, str], tuple[int, float]]) -> list[float]:
    """Seconds from each change to the status that answers it, to a second or so."""
    seconds: list[float] = []
    until_ = time.monotonic() + 900.0
    while asked:
        if time.monotonic() > until_:
            sys.exit(f"{len(asked)} changes were not answered")
        await asyncio.sleep(1.0)
        for item in await client.list(DIALOGUE_MODEL):
            place = (item["metadata"]["namespace"], item["metadata"]["name"])
            generation, since = asked.get(place, (0, 0.0))
            if place in asked and item["status"]["observedGeneration"] >= generation:
                seconds.append(time.monotonic() - since)
                del asked[place]
    return seconds


async def _many(count: int, act: Callable[[int], Any]) -> None:
    room = asyncio.Semaphore(20)

    async def one(number: int) -> None:
        async with room:
            await act(number)

    await asyncio.gather(*map(one, range(count)))


def _name(number: int) -> str:
    return f"model-{number:04d}"


def _manifest(number: int, size: int = 1) -> Json:
    return manifest(_name(number), f"team-{number % NAMESPACES}", spec__scaling__minReplicas=size)


async def _create(client: KubeClient, number: int) -> None:
    await client.apply(_manifest(number))


async def _all(client: KubeClient, count: int, holds: Callable[[Json], bool]) -> bool:
    return sum(map(holds, await client.list(DIALOGUE_MODEL))) >= count


def _is_at_rest(item: Json) -> bool:
    status = item.get("status") or {}
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))
    return ready and status["phase"] == "Stable" and status["readyReplicas"] == status["replicas"]


async def _quiet(process: Operator) -> bool:
    before = writes(process)
    await asyncio.sleep(5.0)
    return writes(process) == before and not depth(process)


async def _now(value: bool) -> bool:
    return value


async def until(what: str, holds: Callable[[], Any], seconds: float, every: float = 0.1) -> None:
    began = time.monotonic()
    while not await holds():
        if time.monotonic() - began > seconds:
            sys.exit(f"waited {seconds:.0f} s in vain: {what}")
        await asyncio.sleep(every)


def looks(process: Operator) -> float:
    return process.metric('dialogue_operator_reconcile_total{result="ok"}')


def depth(process: Operator) -> float:
    return process.metric("dialogue_operator_workqueue_depth")


def writes(process: Operator) -> float:
    return requests(process, ("POST", "PUT", "PATCH", "DELETE")) - 1  # the preflight's question is a POST


def requests(process: Operator, verbs: tuple[str, ...]) -> float:
    lines: Iterator[re.Match[str]] = re.finditer(
        r'^dialogue_operator_api_requests_total\{code="\d+",verb="(\w+)"\} (\S+)$', process.ask("/metrics")[1], re.M
    )
    return sum(float(line[2]) for line in lines if line[1] in verbs)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(process: Operator, field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+)", Path(f"/proc/{process.process.pid}/status").read_text(), re.M)
    assert found
    return int(found[1]) // 1024


def say(what: str, printed: str) -> None:
    print(json.dumps(what)[1:-1].ljust(62), printed, flush=True)


if __name__ == "__main__":
    main()
