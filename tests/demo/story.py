"""The demo itself, step by step: install, apply, talk, upgrade under load, count."""

import json
import time
from pathlib import Path

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
    finally:
        load.stop()
    rows += _talk("after", place)
    _summary(place, load, rows)


def _fresh_place(cluster: places.Cluster) -> Place:
    """A namespace that holds its pods to the restricted standard, without what an earlier run left in it."""
    metadata = {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}))
    kubectl("delete", "dm", MODEL, "-n", NAMESPACE, "--ignore-not-found", "--cascade=foreground")
    kubectl("delete", "job/publish-quickstart", "pvc/models", "-n", NAMESPACE, "--ignore-not-found")
    cluster.free_volumes()
    return Place(
        places.gateway_address(cluster),
        MODEL,
        f"{MODEL}.{NAMESPACE}.example.com",
        f"{MODEL}-grpc.{NAMESPACE}.example.com",
    )


def _publish(cluster: places.Cluster) -> None:
    """Put version 1.1.0 on a volume, with the predictor's own command in a Job."""
    say(f"kubectl apply -f {SAMPLES}/publish.yaml: version 1.1.0 onto a volume")
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
    """Apply the second version and follow it until the first one is gone."""
    http = HttpClient(place)
    old = http.ask(HELLO).revision
    say(f"kubectl apply -f {SAMPLES}/upgrade.yaml, under load")
    began = time.monotonic()
    kubectl("apply", "-n", NAMESPACE, "-f", f"{SAMPLES}/upgrade.yaml")
    phases: list[str] = []

    def settled() -> bool:
        status = kubectl_json("get", "dm", MODEL, "-n", NAMESPACE).get("status", {})
        phase = status.get("phase", "Pending")
        if phase not in phases[-1:]:
            phases.append(phase)
            weights = ", ".join(f"{share['revision']} {share['weight']} %" for share in status.get("traffic", []))
            say(f"  {phase:10} traffic: {weights}")
            if phase == "Preparing":
                rows.extend(_talk("during", place))
            if phase == "Draining" and http.ask(HELLO, pin=old).revision != old:
                raise DemoError(f"a conversation that began with revision {old} changed model in the middle")
        if phase == "Degraded":
            raise DemoError(f"the upgrade was given up; see: kubectl describe dm -n {NAMESPACE} {MODEL}")
        return bool(phase == "Stable" and status.get("stableVersion") == "1.1.0")

    wait_for("the upgrade", settled, 300, every=0.2)
    say(f"upgraded in {time.monotonic() - began:.1f} s")


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
    print(f"\nload during the upgrade: {load.total} requests ({shares}); failed: {load.failures.total()}")
    if load.failures:
        raise DemoError(f"requests failed: {dict(load.failures)}")
    print(f"""
It is all still running. Try next:
  curl -N http://{place.gateway}/v1/chat/completions -H 'Host: {place.http_host}' -H 'Content-Type: application/json' \\
    -d '{{"model":"{MODEL}","stream":true,"messages":[{{"role":"user","content":"a cheap hotel, please"}}]}}'
  eval "$(make -s cluster-env)"   # kubectl and helm of this cluster
  kubectl get dm -n {NAMESPACE} -o wide; kubectl describe dm -n {NAMESPACE} {MODEL}
  make demo-down                  # take it all away""")
