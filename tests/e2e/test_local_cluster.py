"""The local cluster itself: it comes up, outlives a lost API server, runs restricted pods, and leaves nothing behind."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from cluster.oci import PAUSE
from cluster.places import FAILED_LOGS, PIDS, STATE
from cluster.versions import LIGHT, REAL

TESTS = Path(__file__).resolve().parents[1]
# other values change on their own
STEADY = ("vm/*", "kernel/*", "kernel/keys/*", "net/ipv4/*", "net/ipv4/conf/all/*", "net/ipv6/conf/all/*")
UNSTEADY = {"ns_last_pid", "tainted", "route"}

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]  # the first `up` compiles everything


def command(*words: str, prefix: tuple[str, ...] = ()) -> list[str]:
    return [*prefix, sys.executable, "-m", "cluster", *words]


def cluster(*words: str, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    return subprocess.run(command(*words, prefix=prefix), env=environment, capture_output=True, text=True, check=False)


def kubectl(*words: str, stdin: str = "") -> str:
    exported = dict(
        line.removeprefix("export ").split("=", 1) for line in cluster("env").stdout.splitlines()
    )  # NAME='quoted value'
    environment = {**os.environ, **{name: shlex.split(value)[0] for name, value in exported.items()}}
    done = subprocess.run(
        ["kubectl", *words], env=environment, input=stdin, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def until(what: str, seen: Callable[[], bool], seconds: float = 60) -> float:
    """Wait for a condition; returns how long it took."""
    began = time.monotonic()
    while not seen():
        assert time.monotonic() - began < seconds, f"waited {seconds} s for {what}"
        time.sleep(0.1)
    return time.monotonic() - began


@dataclass(frozen=True)
class Traces:
    """Everything a cluster could leave on a machine."""

    mounts: list[str]
    links: set[str]
    namespaces: set[str]
    cgroups: set[str]
    folders: set[str]
    processes: set[str]
    settings: dict[str, str]


def traces() -> Traces:
    commands = {_read(file) for file in Path("/proc").glob("[0-9]*/cmdline")}
    settings = {str(file): _read(file) for pattern in STEADY for file in Path("/proc/sys").glob(pattern)}
    return Traces(
        mounts=sorted(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()),
        links={link.name for link in Path("/sys/class/net").iterdir()},
        namespaces={str(path) for path in Path("/run").glob("netns/*")} | {str(p) for p in Path("/run").glob("netns")},
        cgroups={folder for folder, _, _ in os.walk("/sys/fs/cgroup") if "dlg" in folder},
        folders={str(path) for top in ("/run", "/var/lib", "/var/log", "/etc/cni") for path in Path(top).glob("*")}
        | {str(path) for path in Path("/tmp").glob("dialogue-*")},
        processes={line for line in commands if str(STATE) in line and "kubectl\0" not in line},  # kubectl: a guest
        settings={name: value for name, value in settings.items() if Path(name).name not in UNSTEADY},
    )


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace") if file.is_file() else ""
    except OSError:
        return ""


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Fails a test after which the machine is not as it was."""
    if os.geteuid() != 0:
        pytest.skip("needs root: it makes network namespaces")
    if STATE.exists():
        pytest.skip("a local cluster is up; `make cluster-down` first")
    before = traces()
    yield
    cluster("down")
    assert traces() == before


def pod(name: str, claim: str) -> str:
    context = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    container = {
        "name": "pause",
        "image": PAUSE,
        "securityContext": context,
        "volumeMounts": [{"name": "models", "mountPath": "/mnt/models", "readOnly": True}],
    }
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [container],
                "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": claim}}],
            },
        }
    )


def claim(name: str) -> str:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name},
            "spec": {
                "accessModes": ["ReadOnlyMany"],
                "storageClassName": "dialogue-local",
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }
    )


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("mode", [LIGHT, REAL])
def test_it_comes_up_runs_restricted_pods_with_volumes_and_goes_without_a_trace(mode: str) -> None:
    up = ("up", "--light") if mode == LIGHT else ("up",)
    first = cluster(*up)
    assert first.returncode == 0, first.stderr
    second = cluster(*up)
    assert second.returncode == 0
    assert "already up and healthy" in second.stderr
    other = cluster(*({LIGHT: ("up",), REAL: ("up", "--light")}[mode]))
    assert other.returncode == 1
    assert f"a {mode} cluster" in other.stderr
    assert "apiserver" in cluster("status").stdout

    kubectl("create", "namespace", "guests")
    kubectl("label", "namespace", "guests", "pod-security.kubernetes.io/enforce=restricted")
    kubectl("apply", "-n", "guests", "-f", "-", stdin=claim("models"))
    kubectl("apply", "-n", "guests", "-f", "-", stdin=pod("guest", "models"))
    kubectl("wait", "-n", "guests", "--for=condition=Ready", "pod/guest", "--timeout=60s")
    kubectl("delete", "namespace", "guests")
    until("the volume to be free again", lambda: "free again: models-" in cluster("volumes").stderr)

    down = cluster("down")
    assert down.returncode == 0, down.stderr
    assert "nothing to take down" in cluster("down").stderr


@pytest.mark.usefixtures("nothing_left")
def test_pods_leave_a_drained_node_and_come_back_after_a_lost_one() -> None:
    assert cluster("up", "--nodes", "2", "--node-grace", "16").returncode == 0
    kubectl("cordon", "node-0")
    kubectl("apply", "-f", "-", stdin=deployment("guests", replicas=2))
    kubectl("rollout", "status", "deployment/guests", "--timeout=60s")
    assert places("guests") == ["node-1", "node-1"]
    kubectl("uncordon", "node-0")
    kubectl("drain", "node-1", "--timeout=60s")
    until("the pods to be ready on node-0", lambda: places("guests") == ["node-0", "node-0"])

    kubectl("uncordon", "node-1")
    kubectl("cordon", "node-0")
    kubectl("scale", "deployment/guests", "--replicas=3")
    until("a third pod on node-1", lambda: places("guests") == ["node-0", "node-0", "node-1"])
    kubectl("uncordon", "node-0")
    assert cluster("kill", "node-0").returncode == 1
    assert cluster("kill", "node-1").returncode == 0
    until("the third pod to be ready on node-0", lambda: places("guests") == ["node-0"] * 3, 120)


def places(name: str) -> list[str]:
    """The nodes of a deployment's ready pods that are not on their way out."""
    pods = json.loads(kubectl("get", "pods", "-l", f"app={name}", "-o", "json"))["items"]
    return sorted(
        pod["spec"]["nodeName"]
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
        and any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", ()))
    )


def deployment(name: str, replicas: int) -> str:
    gone = [
        {"key": f"node.kubernetes.io/{why}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}
        for why in ("not-ready", "unreachable")
    ]
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {
            "containers": [{"name": "pause", "image": PAUSE}],
            "tolerations": gone,
            "terminationGracePeriodSeconds": 1,
        },
    }
    return json.dumps(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template},
        }
    )


@pytest.mark.usefixtures("nothing_left")
def test_the_api_server_can_be_stopped_and_started_again_with_its_data() -> None:
    assert cluster("up", "--light").returncode == 0
    kubectl("create", "namespace", "kept")
    assert cluster("stop", "apiserver").returncode == 0
    broken = cluster("up", "--light")
    assert broken.returncode == 1
    assert "apiserver is not running" in broken.stderr
    assert cluster("again", "apiserver").returncode == 0
    until("the cluster to be healthy", lambda: cluster("up", "--light").returncode == 0)
    assert "kept" in kubectl("get", "namespaces", "-o", "name")
    assert "nothing called" in cluster("stop", "no-such-part").stderr


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["by-the-user", "by-force"])
def test_an_interrupted_up_leaves_nothing_that_down_does_not_take_away(how: signal.Signals) -> None:
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    # What is started in the background ignores the interrupt, and so do its children.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        command("up", "--light"), env=environment, stderr=subprocess.DEVNULL, preexec_fn=heed
    ) as process:
        until("the API server to be started", lambda: (PIDS / "apiserver").exists() or process.poll() is not None, 1500)
        process.send_signal(how)
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert not STATE.exists()
        assert (FAILED_LOGS / "etcd.log").exists()
    else:
        again = cluster("up", "--light")
        assert again.returncode == 1
        assert "run `down` first" in again.stderr


def test_without_root_it_says_what_to_do_instead() -> None:
    refused = cluster("up", prefix=("unshare", "--user"))
    assert refused.returncode == 3
    assert len(refused.stderr.splitlines()) == 1
    assert "make serve" in refused.stderr
