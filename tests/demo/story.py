"""The demo itself, step by step: install, apply, talk, a canary that is promoted, one that is rejected, all under load."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from demo import place as places
from demo.load import Load
from demo.shell import DemoError, kubectl, kubectl_json, say, table, wait_for
from demo.talk import GrpcClient, HttpClient, Place
from demo.timing import HELLO, apply_and_ask

NAMESPACE = "demo"
MODEL = "quickstart"
SAMPLES = Path("manifests/samples")
QUESTIONS = ("I'm looking for a cheap restaurant in San Jose.", "你好，请帮我推荐一个酒店。")


def tell() -> None:
    """Everything `make demo` shows. Raises DemoError where something does not hold."""
    cluster = places.choose()
    say("helm install: the operator")
    places.install(cluster)
    place = _fresh_place(cluster)
    say(f"kubectl apply -f {SAMPLES}/quickstart.yaml")
    first = apply_and_ask(f"{SAMPLES}/quickstart.yaml", NAMESPACE, place)
    say(f"first reply {first.total:.1f} s after apply: pod start {first.pod:.1f} s, everything else {first.rest:.1f} s")
    kubectl("wait", "-n", NAMESPACE, "--for=condition=Ready", f"dm/{MODEL}", "--timeout=60s")
    print(kubectl("get", "dm", "-n", NAMESPACE))
    _publish(cluster)
    rows = _talk("before", place)
    load = Load(place).start()
    try:
        _upgrade(place, rows)
        rows += _talk("after", place)
        _bad_upgrade(load)
    finally:
        load.stop()
    _summary(place, load, rows)


def _fresh_place(cluster: places.Cluster) -> Place:
    """A namespace that holds its pods to the restricted standard, without what an earlier run left in it."""
    metadata = {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}))
    kubectl("delete", "dm", MODEL, "-n", NAMESPACE, "--ignore-not-found", "--cascade=foreground")
    kubectl("delete", "job/publish-quickstart", "pvc/models", "-n", NAMESPACE, "--ignore-not-found")
    cluster.free_volumes()
    return place_on(places.gateway_address(cluster.gateway))


def place_on(address: str) -> Place:
    """Where the demo's model answers, behind a gateway at this address."""
    host = f"{NAMESPACE}.example.com"
    return Place(address, MODEL, f"{MODEL}.{host}", f"{MODEL}-grpc.{host}")


def _publish(cluster: places.Cluster) -> None:
    """Put version 1.1.0 on a volume, and a spoilt copy of it, with the predictor's own commands in a Job."""
    say(f"kubectl apply -f {SAMPLES}/publish.yaml: version 1.1.0 onto a volume, and a bad copy")
    text = Path(SAMPLES / "publish.yaml").read_text()
    text = text.replace("PREDICTOR_IMAGE", cluster.predictor_image)
    text = text.replace(
        "storageClassName: standard", f"storageClassName: {cluster.storage_class}" if cluster.storage_class else ""
    )
    kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin=text)

    def published() -> bool:
        status = kubectl_json("get", "job", "publish-quickstart", "-n", NAMESPACE).get("status", {})
        if status.get("failed"):
            raise DemoError(kubectl("logs", "-n", NAMESPACE, "job/publish-quickstart", "--tail=3"))
        return bool(status.get("succeeded"))

    wait_for("the published bundle", published, 180, every=0.2)


def _upgrade(place: Place, rows: list[list[str]]) -> None:
    """Apply the second version and follow it through its steps until the first one is gone."""
    http = HttpClient(place)
    old = http.ask(HELLO).revision

    def look(phase: str, status: dict[str, Any]) -> bool:
        if phase == "Progressing" and len(rows) == 2 * len(QUESTIONS):
            rows.extend(_talk("during", place))
        if phase in ("Progressing", "Draining") and http.ask(HELLO, pin=old).revision != old:
            raise DemoError(f"a conversation that began with revision {old} changed model in the middle")
        if phase == "Degraded":
            raise DemoError(f"the upgrade was given up; see: kubectl describe dm -n {NAMESPACE} {MODEL}")
        return bool(phase == "Stable" and status.get("stableVersion") == "1.1.0")

    say(f"kubectl apply -f {SAMPLES}/upgrade.yaml: a canary, under load")
    say(f"upgraded in {_follow('upgrade.yaml', look):.1f} s")


def _bad_upgrade(load: Load) -> None:
    """Apply the version that is bad on purpose, and follow it until its gate has rejected it."""

    def look(phase: str, status: dict[str, Any]) -> bool:
        if status.get("stableVersion") != "1.1.0":
            raise DemoError("the bad version was promoted")
        return phase == "Degraded"

    before = load.answers.total()
    say(f"kubectl apply -f {SAMPLES}/bad-upgrade.yaml: a canary that is bad on purpose, under load")
    seconds = _follow("bad-upgrade.yaml", look)
    status = kubectl_json("get", "dm", MODEL, "-n", NAMESPACE)["status"]
    bad = status["rollout"]["revision"]
    say(f"rejected in {seconds:.1f} s: {status['rollout']['message']}")
    say(
        f"it answered {load.answers[bad]} of {load.answers.total() - before} requests; {status['stableRevision']} has all"
    )


def _follow(sample: str, look: Callable[[str, dict[str, Any]], bool]) -> float:
    """Apply a sample and print each change until `look` says that it is over; returns the seconds that took."""
    began = time.monotonic()
    kubectl("apply", "-n", NAMESPACE, "-f", f"{SAMPLES}/{sample}")
    wanted = kubectl_json("get", "dm", MODEL, "-n", NAMESPACE)["metadata"]["generation"]
    said: list[str] = []

    def settled() -> bool:
        status = kubectl_json("get", "dm", MODEL, "-n", NAMESPACE).get("status", {})
        if status.get("observedGeneration") != wanted:
            return False
        phase = status["phase"]
        shares = ", ".join(f"{share['name'] or share['revision']} {share['weight']} %" for share in status["traffic"])
        mine = (status["rollout"]["revision"], status["rollout"]["step"])
        gates = ", ".join(f"{g['name']} {g['verdict']}" for g in status["gates"] if (g["revision"], g["step"]) == mine)
        line = f"  {phase:11} traffic: {shares}" + (f"; gates: {gates}" if gates else "")
        if line not in said[-1:]:
            said.append(line)
            say(line)
        return look(phase, status)

    wait_for(sample, settled, 300, every=0.2)
    return time.monotonic() - began


def _talk(when: str, place: Place) -> list[list[str]]:
    rows = []
    http, grpc = HttpClient(place), GrpcClient(place)
    for question in QUESTIONS:
        for name, reply in (("HTTP", http.ask([{"role": "user", "content": question}])), ("gRPC", grpc.ask(question))):
            rows.append([when, name, reply.revision, question, reply.text])
    return rows


def _summary(place: Place, load: Load, rows: list[list[str]]) -> None:
    print("\n" + table(("when", "over", "revision", "asked", "answered"), rows))
    shares = ", ".join(f"{count} by {revision}" for revision, count in load.answers.items())
    print(f"\nload during both: {load.total} requests ({shares}); failed: {load.failures.total()}")
    if load.failures:
        raise DemoError(f"requests failed: {dict(load.failures)}")
    print(f"""
It is all still running. Try next:
  curl -N http://{place.gateway}/v1/chat/completions -H 'Host: {place.http_host}' -H 'Content-Type: application/json' \\
    -d '{{"model":"{MODEL}","stream":true,"messages":[{{"role":"user","content":"a cheap hotel, please"}}]}}'
  eval "$(make -s cluster-env)"   # kubectl and helm of this cluster
  kubectl get dm -n {NAMESPACE} -o wide; kubectl describe dm -n {NAMESPACE} {MODEL}
  make demo-down                  # take it all away""")
