"""Bringing the cluster up, taking it down, and breaking parts of it on purpose."""

import concurrent.futures
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cluster import (
    add_ons,
    api,
    base_images,
    cgroups,
    control_plane,
    fake_nodes,
    gateway,
    kserve,
    network,
    node,
    pki,
    processes,
    store,
    tools,
    volumes,
)
from cluster.build import build
from cluster.console import ClusterError, say
from cluster.places import FAILED_LOGS, KEYS, LOGS, PIDS, SCRATCH, STATE, Node, nodes
from cluster.versions import BINARIES, LIGHT, REAL

RECORD = STATE / "cluster.json"
SYSCTLS = STATE / "sysctl.json"
# The kubelet sets these for the whole machine.
CHANGED_BY_KUBELET = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
PER_NODE = ("kubelet", "kube-proxy", "containerd")


@dataclass(frozen=True)
class Record:
    """What `up` was asked for, by which process, and whether it got there."""

    mode: str
    count: int
    pid: int
    started: str
    complete: bool = False
    extras: Sequence[str] = ()


def record() -> Record | None:
    try:
        return Record(**json.loads(RECORD.read_text()))
    except FileNotFoundError:
        return None


def up(mode: str, count: int, node_grace: int, extras: Sequence[str] = ()) -> None:
    """`extras`: add-ons, for real nodes."""
    tools.require_namespaces()
    add_ons.check(extras)
    if mode == LIGHT and extras:
        raise ClusterError(f"nothing runs on fake nodes, so they cannot have {', '.join(extras)}")
    if STATE.exists():
        _already_up(mode, count, extras)
        return
    tools.require_packages(mode)
    build([one.name for one in BINARIES if mode in one.modes])
    if mode == REAL:
        base_images.ensure_pause()
        add_ons.prepare(extras)
        store.fill()
    say("programs and images: there")
    try:
        _create(mode, [Node(index) for index in range(count)], node_grace, extras)
    except BaseException:
        say(f"`up` did not succeed: taking away what it started; the logs are kept in {FAILED_LOGS}")
        _keep_logs()
        down()
        raise
    say('up; next: eval "$(make -s cluster-env)"')


def _already_up(mode: str, count: int, extras: Sequence[str]) -> None:
    known = record()
    if known is None:
        raise ClusterError(
            f"{STATE} is there but holds no cluster; remove it, or name another in DIALOGUE_CLUSTER_STATE"
        )
    if not known.complete:
        if processes.is_alive(known.pid, known.started):
            raise ClusterError(f"another `up` is at work (pid {known.pid})")
        raise ClusterError("an earlier `up` was interrupted; run `down` first")
    if (known.mode, known.count) != (mode, count):
        raise ClusterError(f"a {known.mode} cluster with {known.count} node(s) is up; run `down` first")
    if missing := set(extras) - set(known.extras):
        raise ClusterError(f"a cluster without {', '.join(sorted(missing))} is up; run `down` first")
    if dead := [one.name for one in processes.daemons() if not one.alive]:
        raise ClusterError(
            f"the cluster is up, but {', '.join(dead)} is not running; run `again {' '.join(dead)}` or `down`"
        )
    if not (api.is_ready() and api.holds("Ready", "node", "--all") and gateway.is_programmed()):
        raise ClusterError("the cluster is up but not healthy; see `status`")
    say("already up and healthy")


def _create(mode: str, wanted: list[Node], node_grace: int, extras: Sequence[str]) -> None:
    STATE.mkdir()
    for folder in (LOGS, PIDS, KEYS, SCRATCH):
        folder.mkdir()
    KEYS.chmod(0o700)
    asked = Record(mode, len(wanted), os.getpid(), processes.start_time(os.getpid()) or "", extras=extras)
    RECORD.write_text(json.dumps(asdict(asked)))
    SYSCTLS.write_text(json.dumps({name: Path("/proc/sys", name).read_text() for name in CHANGED_BY_KUBELET}))
    if mode == REAL:
        for one in wanted:
            one.folder.mkdir()
    network.create(wanted if mode == REAL else wanted[:1])
    pki.create(wanted if mode == REAL else [])
    say("network namespaces and keys: there")
    control_plane.create(node_grace)
    with concurrent.futures.ThreadPoolExecutor() as pool:  # nodes come up while the API server digests the CRDs
        if mode == LIGHT:
            started = [pool.submit(fake_nodes.create, wanted)]
        else:
            started = [pool.submit(node.create_dns), *(pool.submit(node.create, one) for one in wanted)]
        kserve.create_crds()
        gateway.create()
        volumes.create()
        kserve.create()
        for future in started:
            future.result()
    processes.wait_for("nodes", lambda: api.holds("Ready", "node", "--all"))
    processes.wait_for("gateway", gateway.is_programmed)
    add_ons.create(extras)
    RECORD.write_text(json.dumps({**asdict(asked), "complete": True}))


def down() -> None:
    """Works on whatever is there: also after an `up` that was interrupted or a state folder that was removed."""
    tools.require_namespaces()
    if not STATE.exists() and not network.ours():
        say("nothing to take down")
        return
    _take_away([Node(0), *(one for one in nodes() if one.index)], processes.GENTLY)
    processes.end(one.pid for one in processes.daemons() if one.alive)
    processes.end(pid for netns in network.ours() for pid in processes.inside(netns))
    network.remove_all()
    if SYSCTLS.exists():
        for name, value in json.loads(SYSCTLS.read_text()).items():
            Path("/proc/sys", name).write_text(value)
    if STATE.exists():
        shutil.rmtree(STATE)
    say("down; nothing is left but the cache")


def _take_away(lost: list[Node], signals: tuple[int, ...]) -> None:
    """Kubelets first, or they would start the pods again; then what runs in the pods; then the rest of each node."""
    kubelets = {one.daemon("kubelet") for one in lost}
    processes.end((one.pid for one in processes.daemons() if one.name in kubelets and one.alive), signals)
    processes.end((pid for one in lost for pid in cgroups.processes(one.netns)), signals)
    processes.end((pid for one in lost for pid in processes.inside(one.netns)), signals)
    for one in lost:
        cgroups.remove(one.netns)


def kill(name: str) -> None:
    """A machine is lost: its processes, pods and namespace vanish, and packets to it are swallowed."""
    node_0, *others = nodes() or [Node(0)]
    lost = next((one for one in others if one.name == name), None)
    if lost is None:
        able = ", ".join(one.name for one in others) or "none: start with `up --nodes 2`"
        raise ClusterError(f"{name} cannot be killed ({node_0.name} carries the control plane); there is: {able}")
    network.swallow(lost)
    _take_away([lost], processes.AT_ONCE)
    network.remove(lost.netns)
    lost.socket.unlink(missing_ok=True)
    for program in PER_NODE:
        (PIDS / lost.daemon(program)).unlink()
    say(f"{name} is lost")


def _keep_logs() -> None:
    shutil.rmtree(FAILED_LOGS, ignore_errors=True)
    if LOGS.exists():
        shutil.copytree(LOGS, FAILED_LOGS)
