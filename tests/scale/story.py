"""Questions to a real cluster: our own metric, cpu, from no pod at all, waking up for good, and pods before traffic."""

import json
import statistics
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from time import monotonic

from cluster.add_ons import PROMETHEUS
from demo import place as places
from demo.load import Load
from demo.shell import DemoError, kubectl, kubectl_json, say, wait_for
from demo.talk import HttpClient, Place, RequestFailed
from demo.timing import HELLO
from scale import models
from scale.models import NAMESPACE
from scale.sizes import CapacityWatch, reached, sizes

ADD_ONS = ("metrics-server", "prometheus", "keda")
CLIENTS, MOST = 8, 3
AT_ONCE, ROUNDS, WARM = 50, 3, 200
Later = Callable[[Callable[[], object]], object]  # what a part wants done while the next one runs
UP_SECONDS, DOWN_SECONDS, PATIENCE_SECONDS = 120, 400, 100


def tell(parts: list[str]) -> None:
    """Raises DemoError where something does not hold."""
    cluster = places.local(*ADD_ONS)
    say("helm install: the operator, told where Prometheus is")
    places.install(cluster, prometheus__url=PROMETHEUS)
    _namespace()
    gateway = places.gateway_address(cluster.gateway)
    failures: list[str] = []

    def attempt(what: str, part: Callable[[], object]) -> None:
        try:
            part()
        except DemoError as error:
            failures.append(f"{what}: {error}")
            say(failures[-1])

    def ask(name: str, pool: ThreadPoolExecutor) -> None:
        attempt(name, lambda: PARTS[name](gateway, lambda later: pool.submit(attempt, name, later)))

    with ThreadPoolExecutor() as pool:  # pods go minutes after their load: meanwhile the next part runs
        for name in parts:
            ask(name, pool)
    if failures:
        raise DemoError(f"{len(failures)} of the questions have the wrong answer")


def _namespace() -> None:
    """With the restricted standard; and KEDA's namespace agrees that our routes may name its interceptor."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
    routes = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": NAMESPACE}
    grant = {
        "apiVersion": "gateway.networking.k8s.io/v1beta1",
        "kind": "ReferenceGrant",
        "metadata": {"name": "dialogue", "namespace": "keda"},
        "spec": {"from": [routes], "to": [{"group": "", "kind": "Service"}]},
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(namespace))
    kubectl("apply", "-f", "-", stdin=json.dumps(grant))


def tokens(gateway: str, later: Later) -> None:
    """KEDA on the tokens that predictors owe."""
    _up_and_down("tokens", "KEDA on pendingTokens", {"metric": "pendingTokens", "target": "15"}, gateway, later)


def cpu(gateway: str, later: Later) -> None:
    """A plain HorizontalPodAutoscaler."""
    _up_and_down("cpu", "HorizontalPodAutoscaler on cpu", {"metric": "cpu", "target": "150"}, gateway, later)


def _up_and_down(name: str, what: str, scaling: dict[str, str], gateway: str, later: Later) -> None:
    models.publish(name, {"minReplicas": 1, "maxReplicas": MOST, **scaling})
    models.ready(name, gateway)
    load = Load(models.place(gateway, name), http_clients=CLIENTS, grpc_clients=0).start()
    try:
        up = reached(name, MOST, UP_SECONDS)
    finally:
        load.stop()
    say(f"{what}: 1 to {MOST} ready pods in {up:.1f} s under load; {_failed(load)}")
    later(lambda: say(f"{what}: back to 1 pod {reached(name, 1, DOWN_SECONDS):.1f} s after the load"))


def _failed(load: Load) -> str:
    if load.failures:
        raise DemoError(f"{load.failures.total()} of {load.total} requests failed: {dict(load.failures)}")
    return f"0 of {load.total} requests failed"


def sleep(gateway: str, later: Later) -> None:
    """To no pod and back, and what the detour costs while pods are there."""
    scaling = {"minReplicas": 0, "maxReplicas": MOST, "idleTimeout": "10s", "metric": "concurrency", "target": "20"}
    models.publish("sleepy", scaling)
    models.ready("sleepy", gateway)
    place = models.place(gateway, "sleepy")
    for number in range(1, ROUNDS + 1):
        say(f"asleep after {reached('sleepy', 0, DOWN_SECONDS):.1f} s")
        with ThreadPoolExecutor(AT_ONCE) as crowd:
            asked = [crowd.submit(_ask, place) for _ in range(AT_ONCE)]
        seconds, failures = _outcome(asked)
        say(
            f"from no pod, round {number}: {failures.total()} of {AT_ONCE} requests at once failed; seconds: "
            f"{seconds[0]:.1f} least, {statistics.median(seconds):.1f} median, {seconds[-1]:.1f} most"
        )
        if failures:
            raise DemoError(f"requests failed: {dict(failures)}")
    held = _warm(place)
    models.publish("awake", {"minReplicas": 1})
    models.ready("awake", gateway)
    straight = _warm(models.place(gateway, "awake"))
    say(
        f"awake, one request after the other: median {held:.1f} ms by way of the interceptor, {straight:.1f} ms without"
    )


def waking(gateway: str, later: Later) -> None:
    """What takes a sleeping model's traffic off the way that holds requests: an upgrade, a least size of one."""
    scaling = {"minReplicas": 0, "maxReplicas": 2, "idleTimeout": "10s", "metric": "concurrency"}
    models.publish("riser", scaling)
    models.ready("riser", gateway)
    reached("riser", 0, DOWN_SECONDS)
    before = models.status("riser")["stableRevision"]
    models.publish("riser", scaling, cpu="110m")
    say(f"upgraded asleep: {_loaded(gateway, 'riser', lambda: _took_over('riser', before))}")
    reached("riser", 0, DOWN_SECONDS)
    models.publish("riser", {**scaling, "minReplicas": 1}, cpu="110m")
    say(f"told to stay awake: {_loaded(gateway, 'riser', lambda: _serves_straight('riser'))}")


def _loaded(gateway: str, name: str, until: Callable[[], bool]) -> str:
    """New clients all the time until something holds, whether or not those before them have their answer."""
    asked: list[Future[float]] = []
    with ThreadPoolExecutor(AT_ONCE) as crowd:

        def holds() -> bool:
            asked.append(crowd.submit(_ask, models.place(gateway, name)))
            return until()

        took = wait_for("it", holds, DOWN_SECONDS, every=0.2)
    _, failures = _outcome(asked)
    if failures:
        raise DemoError(f"{failures.total()} of {len(asked)} requests failed: {dict(failures)}")
    return f"{took:.1f} s; 0 of {len(asked)} requests failed"


def _serves_straight(name: str) -> bool:
    """No detour any more, and a pod is there."""
    [*_, last] = kubectl_json("get", "httproute", name, "-n", NAMESPACE)["spec"]["rules"]
    straight = all("namespace" not in backend for backend in last["backendRefs"])
    return straight and any(one.ready for one in sizes(name).values())


def _ask(place: Place) -> float:
    with closing(HttpClient(place)) as client:
        client.connection.timeout = PATIENCE_SECONDS  # a pod's start, on a machine that may be busy
        began = monotonic()
        client.ask(HELLO)
        return monotonic() - began


def _outcome(asked: list[Future[float]]) -> tuple[list[float], Counter[str]]:
    seconds, failures = [], Counter[str]()
    for one in asked:
        try:
            seconds.append(one.result())
        except RequestFailed as failure:
            failures[str(failure)] += 1
    if not seconds:
        raise DemoError(f"every request failed: {dict(failures)}")
    return sorted(seconds), failures


def _warm(place: Place) -> float:
    """Median of milliseconds over one connection."""
    with closing(HttpClient(place)) as client:
        client.ask(HELLO)
        times = []
        for _ in range(WARM):
            began = monotonic()
            client.ask(HELLO)
            times.append(monotonic() - began)
    return statistics.median(times) * 1000


def capacity(gateway: str, later: Later) -> None:
    """A Canary of a model that scales: no share of the traffic without the pods for it."""
    rollout = {"strategy": "Canary", "steps": [{"weight": 50, "hold": "5s"}]}
    scaling = {"minReplicas": 2, "maxReplicas": 4, "metric": "pendingTokens", "target": "4000"}
    models.publish("canary", scaling, rollout=rollout)
    models.ready("canary", gateway)
    reached("canary", 2, UP_SECONDS)
    before = models.status("canary")["stableRevision"]
    load = Load(models.place(gateway, "canary"), http_clients=2, grpc_clients=1).start()
    try:
        with CapacityWatch("canary", full=2) as watch:
            models.publish("canary", scaling, cpu="110m", rollout=rollout)
            took = wait_for("the canary to be stable", lambda: _took_over("canary", before), 240, every=0.5)
    finally:
        load.stop()
    say(f"Canary of two pods by 50 %: {took:.1f} s; traffic was {watch.weights}; {_failed(load)}")
    say(f"pods before traffic: short of pods in {len(watch.short)} of {watch.looks} looks")
    if watch.short:
        raise DemoError(f"traffic came before its pods: {watch.short[:3]}")


def _took_over(name: str, before: str) -> bool:
    status = models.status(name)
    if status["phase"] == "Degraded":
        raise DemoError(f"the rollout was given up; see: kubectl describe dm -n {NAMESPACE} {name}")
    return bool(status["phase"] == "Stable" and status["stableRevision"] != before)


PARTS: dict[str, Callable[[str, Later], None]] = {
    "tokens": tokens,
    "cpu": cpu,
    "sleep": sleep,
    "capacity": capacity,
    "waking": waking,
}
