"""What the operator does in a cluster with the real KServe and a real gateway: serve, upgrade, refuse, repair, rest."""

import json
import time
import uuid
from typing import Any

import pytest

from dialogue_operator import names
from dialogue_operator.api.crd import crd
from support.kube import Proxy
from support.light import Light
from support.objects import manifest
from support.operators import Operator, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("running")]

Json = dict[str, Any]
QUICK = {"spec__rollout__drain": "1s", "spec__rollout__progressDeadline": "5s"}
CLASH_SECONDS = 5.0


@pytest.fixture
def name() -> str:
    return f"m-{uuid.uuid4().hex[:6]}"


def serve(light: Light, namespace: str, name: str, **changes: Any) -> Json:
    """Apply a DialogueModel and wait until it serves; its status."""
    light.apply(manifest(name, namespace, **{**QUICK, **changes}))
    eventually(f"{name} is ready", lambda: light.is_ready(namespace, name))
    return light.status(namespace, name)


def weights(light: Light, namespace: str, name: str, kind: str = "httproute") -> dict[str, int]:
    """Backend → weight of new conversations."""
    rule = light.get(kind, namespace, name)["spec"]["rules"][-1]
    return {backend["name"]: backend["weight"] for backend in rule["backendRefs"]}


def foreign_route(namespace: str, name: str, host: str) -> Json:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "parentRefs": [{"name": "dialogue", "namespace": "kserve"}], "hostnames": [host],
            "rules": [{"backendRefs": [{"name": "nobody", "port": 80}]}],
        },
    }  # fmt: skip


def test_a_model_serves_under_its_hosts(light: Light, namespace: str, name: str) -> None:
    status = serve(light, namespace, name, spec__scaling__minReplicas=2)
    revision = status["stableRevision"]
    predictor = names.predictor_name(name, revision)
    assert status["phase"] == "Stable"
    assert status["url"] == f"http://{name}.{namespace}.models.test"
    assert weights(light, namespace, name) == weights(light, namespace, name, "grpcroute") == {predictor: 100}
    eventually("two pods", lambda: light.status(namespace, name)["readyReplicas"] == 2)
    assert light.get("deployment", namespace, predictor)["spec"]["replicas"] == 2


def test_an_upgrade_moves_all_traffic_and_takes_the_old_revision_down(light: Light, namespace: str, name: str) -> None:
    old = serve(light, namespace, name)["stableRevision"]
    light.patch("dialoguemodel", namespace, name, {"spec": {"model": {"version": "2.0.0"}}})
    eventually("version 2", lambda: light.status(namespace, name).get("stableVersion") == "2.0.0")
    eventually("old one gone", lambda: not light.get("inferenceservice", namespace, names.service_name(name, old)))
    eventually("at rest", lambda: light.status(namespace, name)["phase"] == "Stable")
    status = light.status(namespace, name)
    assert weights(light, namespace, name) == {names.predictor_name(name, status["stableRevision"]): 100}
    assert [h["version"] for h in status["history"]] == ["2.0.0", "1.0.0"]


def test_a_size_that_changes_makes_no_new_revision(light: Light, namespace: str, name: str) -> None:
    revision = serve(light, namespace, name)["stableRevision"]
    light.kubectl("scale", "dialoguemodel", name, "-n", namespace, "--replicas=3")
    eventually("three pods", lambda: light.status(namespace, name)["readyReplicas"] == 3)
    assert light.status(namespace, name)["stableRevision"] == revision


def test_a_converged_world_gets_no_write_however_often_it_is_looked_at(
    light: Light, namespace: str, name: str, proxy: Proxy, running: Operator
) -> None:
    serve(light, namespace, name)
    eventually("at rest", lambda: all(m["status"]["phase"] == "Stable" for m in light.list("dialoguemodel", namespace)))
    done = 'dialogue_operator_reconcile_total{result="ok"}'
    settled = running.metric(done) + 10
    eventually("events have died down", lambda: running.metric(done) > settled)
    proxy.writes.clear()
    looked, began = running.metric(done), time.monotonic()
    eventually("60 more looks", lambda: running.metric(done) > looked + 60, seconds=120)
    ours = [write for write in proxy.writes if f"/namespaces/{namespace}/" in write.path]  # others may still roll out
    assert ours == [], f"in {time.monotonic() - began:.0f} s"


@pytest.mark.parametrize(
    ("trouble", "reason", "word"),
    [
        ({"runtime": {"resources": {"cpu": "100000"}}}, "Unschedulable", "Insufficient cpu"),
        ({"model": {"uri": "pvc://nowhere/v2", "version": "2"}}, "BundleNotFound", "PersistentVolumeClaim nowhere"),
    ],
    ids=["no room", "no volume"],
)
def test_a_bad_candidate_is_given_up_and_the_old_revision_keeps_serving(
    light: Light, namespace: str, name: str, trouble: Json, reason: str, word: str
) -> None:
    stable = serve(light, namespace, name)["stableRevision"]
    before = weights(light, namespace, name)
    light.patch("dialoguemodel", namespace, name, {"spec": trouble})
    eventually("it says why", lambda: light.condition(namespace, name, "Progressing")[1] == reason)
    assert word in light.condition(namespace, name, "Progressing")[2]
    eventually("given up", lambda: light.status(namespace, name)["phase"] == "Degraded", seconds=20)
    status = light.status(namespace, name)
    assert (status["stableRevision"], status["rollout"]["outcome"]) == (stable, "Rejected")
    assert status["rollout"]["reason"] == reason
    assert weights(light, namespace, name) == before
    assert light.is_ready(namespace, name)
    eventually("its objects are gone", lambda: len(light.list("inferenceservice", namespace, _of(name))) == 1)
    eventually("its runtime is gone", lambda: not light.list("servingruntime", namespace, _of(name)))
    light.patch("dialoguemodel", namespace, name, {"spec": manifest()["spec"] | {"runtime": None}})
    eventually("back to normal", lambda: light.status(namespace, name)["phase"] == "Stable")


def test_a_quota_that_is_used_up_is_named(light: Light, namespace: str, name: str) -> None:
    small = f"{namespace}-small"
    light.kubectl("create", "namespace", small)
    light.kubectl("create", "quota", "small", "-n", small, "--hard=pods=0")
    light.apply(manifest(name, small, **QUICK))
    eventually("it says why", lambda: light.condition(small, name, "Ready")[1] == "QuotaExceeded")
    light.kubectl("delete", "quota", "small", "-n", small)
    light.kubectl("delete", "dialoguemodel", name, "-n", small)
    light.kubectl("delete", "namespace", small, "--wait=false")


def test_a_host_that_somebody_holds_is_left_alone_and_taken_when_it_is_free(
    light: Light, namespace: str, name: str
) -> None:
    theirs = f"theirs-{name}"
    light.apply(foreign_route(namespace, theirs, f"{name}.{namespace}.models.test"))
    light.apply(manifest(name, namespace, **QUICK))
    took = eventually(
        "a clash is seen", lambda: light.condition(namespace, name, "Accepted")[:2] == ("False", "HostConflict")
    )
    assert took < CLASH_SECONDS
    assert f"HTTPRoute {namespace}/{theirs}" in light.condition(namespace, name, "Accepted")[2]
    assert not light.get("httproute", namespace, name)
    light.kubectl("delete", "httproute", "-n", namespace, theirs)
    eventually("it serves", lambda: light.is_ready(namespace, name))
    assert light.condition(namespace, name, "Accepted")[0] == "True"


def test_a_later_claim_does_not_disturb_who_was_there_first(light: Light, namespace: str, name: str) -> None:
    serve(light, namespace, name)
    theirs = f"theirs-{name}"
    eventually("a second has passed", lambda: light.get("httproute", namespace, name)["metadata"]["creationTimestamp"]
               < time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))  # fmt: skip
    light.apply(foreign_route(namespace, theirs, f"{name}.{namespace}.models.test"))
    light.patch("dialoguemodel", namespace, name, {"spec": {"model": {"version": "2.0.0"}}})
    eventually("version 2", lambda: light.status(namespace, name).get("stableVersion") == "2.0.0")
    light.kubectl("delete", "httproute", "-n", namespace, theirs)


def test_two_models_whose_hosts_are_the_same_never_both_serve(light: Light, namespace: str, name: str) -> None:
    serve(light, namespace, name)
    light.apply(manifest(f"{name}-grpc", namespace, **QUICK))
    eventually("a clash", lambda: light.condition(namespace, f"{name}-grpc", "Accepted")[1] == "HostConflict")
    light.kubectl("delete", "dialoguemodel", "-n", namespace, f"{name}-grpc")
    assert light.is_ready(namespace, name)


def test_a_route_of_somebody_else_with_our_name_is_not_taken_over(light: Light, namespace: str, name: str) -> None:
    light.apply(foreign_route(namespace, name, "elsewhere.models.test"))
    light.apply(manifest(name, namespace, **QUICK))
    eventually("a clash", lambda: light.condition(namespace, name, "Accepted")[1] == "HostConflict")
    assert light.get("httproute", namespace, name)["spec"]["hostnames"] == ["elsewhere.models.test"]
    light.kubectl("delete", "dialoguemodel", "-n", namespace, name)


def test_what_people_change_by_hand_is_put_back(light: Light, namespace: str, name: str) -> None:
    revision = serve(light, namespace, name)["stableRevision"]
    predictor, service = names.predictor_name(name, revision), names.service_name(name, revision)
    route = light.get("httproute", namespace, name)
    route["spec"]["rules"][-1]["backendRefs"][0]["weight"] = 7
    light.kubectl("replace", "-f", "-", stdin=json.dumps(route))
    eventually("the weight is back", lambda: weights(light, namespace, name) == {predictor: 100})
    light.kubectl("scale", "deployment", "-n", namespace, predictor, "--replicas=4")
    eventually("the size is back", lambda: light.get("deployment", namespace, predictor)["spec"]["replicas"] == 1)
    light.kubectl("delete", "httproute", "-n", namespace, name)
    eventually("the route is back", lambda: light.get("httproute", namespace, name))
    light.kubectl("delete", "inferenceservice", "-n", namespace, service)
    eventually("the pods are back", lambda: light.is_ready(namespace, name) and light.get("isvc", namespace, service))


def test_a_model_that_is_deleted_takes_everything_with_it(light: Light, namespace: str, name: str) -> None:
    serve(light, namespace, name)
    light.kubectl("delete", "dialoguemodel", "-n", namespace, name)
    for kind in ("inferenceservice", "httproute", "grpcroute", "deployment", "servingruntime"):
        eventually(f"no {kind}", lambda kind=kind: not light.list(kind, namespace, _of(name)))  # type: ignore[misc]


def test_a_spec_that_a_newer_crd_admitted_is_named_and_the_last_one_keeps_serving(
    light: Light, namespace: str, name: str
) -> None:
    stable = serve(light, namespace, name)["stableRevision"]
    newer = crd()
    spec = newer["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    spec["generation"]["properties"]["numBeams"]["maximum"] = 64
    light.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(newer))
    eventually("the API server takes it", lambda: _beams(light, namespace, name, 32))
    eventually("it is named", lambda: light.condition(namespace, name, "Accepted")[:2] == ("False", "SpecInvalid"))
    assert "spec.generation.numBeams: Input should be less than or equal to 16" in str(
        light.condition(namespace, name, "Accepted")
    )
    assert weights(light, namespace, name) == {names.predictor_name(name, stable): 100}
    assert _beams(light, namespace, name, 4)
    light.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(crd()))
    eventually("all is well again", lambda: light.condition(namespace, name, "Accepted")[0] == "True")
    assert light.status(namespace, name)["stableRevision"] == stable


def _beams(light: Light, namespace: str, name: str, count: int) -> bool:
    try:
        light.patch("dialoguemodel", namespace, name, {"spec": {"generation": {"numBeams": count}}})
    except AssertionError:
        return False
    return True


def _of(name: str) -> str:
    return f"{names.LABEL_MODEL}={name}"
