"""What `make demo` promises, and what must hold on the cluster that it leaves running."""

import json
import re
import subprocess
from contextlib import closing

import pytest

from demo.load import Load
from demo.shell import ROOT, kubectl, kubectl_json, wait_for
from demo.story import MODEL, NAMESPACE
from demo.talk import GrpcClient, HttpClient
from demo.timing import HELLO
from support.demo import Demo
from support.readme import commands

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(5000)]


def model() -> dict[str, object]:
    status: dict[str, object] = kubectl_json("get", "dm", MODEL, "-n", NAMESPACE)["status"]
    return status


def condition(type_: str) -> dict[str, str]:
    conditions = model()["conditions"]
    assert isinstance(conditions, list)
    found: dict[str, str] = next(c for c in conditions if c["type"] == type_)
    return found


def patch(spec: dict[str, object]) -> None:
    kubectl("patch", "dm", MODEL, "-n", NAMESPACE, "--type=merge", "-p", json.dumps({"spec": spec}))


def test_the_demo_prints_replies_before_during_and_after_the_upgrade_and_no_failure(demo: Demo) -> None:
    rows = re.findall(r"^(before|during|after) +(HTTP|gRPC) +([0-9a-f]{8}) ", demo.printed, re.M)
    assert {(when, over) for when, over, _ in rows} == {
        (w, o) for w in ("before", "during", "after") for o in ("HTTP", "gRPC")
    }
    revisions = {when: {r for w, _, r in rows if w == when} for when in ("before", "after")}
    assert len(revisions["before"]) == len(revisions["after"]) == 1
    assert revisions["before"] != revisions["after"]
    count = re.search(r"load during both: (\d+) requests .*; failed: 0$", demo.printed, re.M)
    assert count
    assert int(count[1]) > 50


def test_the_demo_shows_a_canary_that_goes_up_step_by_step_and_one_that_its_gate_rejects(demo: Demo) -> None:
    shares = re.findall(
        r"(Progressing|Switching|Draining|Stable|RollingBack|Degraded) +traffic: ([^;\n]*)", demo.printed
    )
    seen = list(dict.fromkeys(shares))
    assert ("Progressing", "candidate 20 %, stable 80 %") in [(p, ", ".join(sorted(s.split(", ")))) for p, s in seen]
    assert ("Progressing", "candidate 50 %, stable 50 %") in [(p, ", ".join(sorted(s.split(", ")))) for p, s in seen]
    assert seen[-1] == ("Degraded", "stable 100 %")
    rejected = re.search(r"rejected in ([\d.]+) s: gate quality: degenerateRate", demo.printed)
    assert rejected
    assert re.search(r"it answered \d+ of \d+ requests", demo.printed)


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("kubectl")])
def test_kubectl_commands_of_the_readme_answer(demo: Demo, command: str) -> None:
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_pods_are_held_to_the_restricted_standard_and_hold_one_container(demo: Demo) -> None:
    labels = kubectl_json("get", "namespace", NAMESPACE)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    pods = kubectl_json("get", "pods", "-n", NAMESPACE, "-l", f"serving.dialogue.dev/model={MODEL}")["items"]
    assert pods
    for pod in pods:
        assert [c["name"] for c in pod["spec"]["containers"]] == ["kserve-container"]
        assert pod["spec"].get("initContainers", []) == []


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ({"uri": "pvc://models/quickstart/9.9.9", "version": "9.9.9"}, "BundleNotFound"),
        ({"uri": "builtin://default", "version": "1.0.1", "digest": "sha256:" + "0" * 64}, "DigestMismatch"),
    ],
)
def test_a_bundle_that_cannot_be_served_is_named_and_the_last_good_revision_keeps_serving(
    upgraded: Demo, source: dict[str, object], reason: str
) -> None:
    stable = model()["stableRevision"]
    patch({"model": source})
    wait_for(f"condition Progressing to say {reason}", lambda: condition("Progressing")["reason"] == reason, 30)
    assert condition("Progressing")["status"] == "False"
    assert condition("Progressing")["message"]
    assert condition("Ready")["status"] == "True"
    with closing(HttpClient(upgraded.place)) as client:
        assert client.ask(HELLO).revision == stable


def test_whatever_way_a_client_names_its_revision_it_stays_there_while_two_share_the_traffic(upgraded: Demo) -> None:
    patch({"experiment": {"arms": [{"name": "greedy", "weight": 50, "overrides": {"generation": {"numBeams": 1}}}]}})

    def shares() -> dict[str, str]:
        traffic = model()["traffic"]
        assert isinstance(traffic, list)
        return {share["name"]: share["revision"] for share in traffic if share["weight"] == 50}

    wait_for("both arms to have their share", lambda: shares().keys() == {"stable", "greedy"}, 60)
    with closing(HttpClient(upgraded.place)) as http, closing(GrpcClient(upgraded.place)) as grpc:
        for revision in shares().values():
            for _ in range(8):
                assert http.ask(HELLO, pin=revision).revision == revision
                assert http.ask(HELLO, cookie=revision).revision == revision
                assert grpc.ask("hello", pin=revision).revision == revision
        unpinned = [http.ask(HELLO).revision for _ in range(40)] + [grpc.ask("hello").revision for _ in range(40)]
        assert set(unpinned) == set(shares().values())

    def revisions_with_pods() -> set[str]:
        pods = kubectl_json("get", "pods", "-n", NAMESPACE, "-l", f"serving.dialogue.dev/model={MODEL}")["items"]
        return {pod["metadata"]["labels"]["serving.dialogue.dev/revision"] for pod in pods}

    # An arm that differs in decoding alone has no pods of its own; what the upgrade left behind may still be going.
    wait_for("the stable revision alone to have pods", lambda: revisions_with_pods() == {shares()["stable"]}, 60)


def test_deleting_the_pod_under_load_after_scaling_up_fails_no_request(upgraded: Demo) -> None:
    kubectl("scale", f"dm/{MODEL}", "-n", NAMESPACE, "--replicas=2")
    wait_for("two ready pods", lambda: model()["readyReplicas"] == 2, 120)
    load = Load(upgraded.place).start()
    try:
        pods = kubectl(
            "get", "pods", "-n", NAMESPACE, "-l", f"serving.dialogue.dev/model={MODEL}", "-o", "name"
        ).split()
        kubectl("delete", "-n", NAMESPACE, pods[0], "--wait=true")
        wait_for("the replacement", lambda: model()["readyReplicas"] == 2, 120)
    finally:
        load.stop()
        kubectl("scale", f"dm/{MODEL}", "-n", NAMESPACE, "--replicas=1")
    assert load.answers.total() > 0
    assert dict(load.failures) == {}


def test_killing_the_leading_operator_in_an_upgrade_only_delays_it(upgraded: Demo) -> None:
    patch({"dialogue": {"maxTurns": 6}})
    leader = kubectl_json("get", "lease", "dialogue-operator", "-n", "dialogue-system")["spec"]["holderIdentity"]
    pods = kubectl("get", "pods", "-n", "dialogue-system", "-o", "name").split()
    [pod] = [name for name in pods if name.removeprefix("pod/") in leader]
    kubectl("delete", "-n", "dialogue-system", pod, "--grace-period=0", "--force")
    wait_for("the upgrade to end", lambda: model()["phase"] == "Stable" and model()["stableRevision"] != "", 180)
    rendered = kubectl_json("get", "httproute", MODEL, "-n", NAMESPACE)["spec"]["rules"][-1]["backendRefs"]
    assert [ref["name"] for ref in rendered] == [f"{MODEL}-{model()['stableRevision']}-predictor"]
