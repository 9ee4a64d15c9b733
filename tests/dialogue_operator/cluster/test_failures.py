"""Why pods do not come up, told from objects as Kubernetes writes them."""

from typing import Any

import pytest

from dialogue_operator.cluster.failures import failure_of, waits_for_volumes
from dialogue_operator.rollout.observed import Failure

Json = dict[str, Any]


def pod(*statuses: Json, node: str = "node-0", **status: Any) -> Json:
    spec = {"nodeName": node} if node else {}
    return {"metadata": {"name": "p"}, "spec": spec, "status": {"containerStatuses": list(statuses), **status}}


def waiting(reason: str, message: str = "", **more: Any) -> Json:
    return {"state": {"waiting": {"reason": reason, "message": message}}, "ready": False, **more}


def ended(code: int, message: str = "", reason: str = "Error") -> Json:
    return {"terminated": {"exitCode": code, "message": message, "reason": reason}}


def unscheduled(message: str) -> Json:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(node="", conditions=[condition])


DIGEST = "DigestMismatch: the bundle has sha256:11, the manifest wants sha256:22"
SAID = {
    "the predictor's own words, while it is down": (
        pod({"state": ended(1, DIGEST)}),
        Failure("DigestMismatch", "the bundle has sha256:11, the manifest wants sha256:22"),
    ),
    "the predictor's own words, while it waits for its next try": (
        pod(waiting("CrashLoopBackOff", "back-off 20s", lastState=ended(1, f"starting\n{DIGEST}\n"))),
        Failure("DigestMismatch", "the bundle has sha256:11, the manifest wants sha256:22"),
    ),
    "the predictor's own words, while its next try runs": (
        pod({"state": {"running": {}}, "lastState": ended(1, "BundleInvalid: no config.json"), "ready": False}),
        Failure("BundleInvalid", "no config.json"),
    ),
    "a log's tail where it left no words": (
        pod({"state": ended(139, "Traceback\n  line 3\nSegmentation fault\n")}),
        Failure("Crashed", "a container ended with exit code 139: Segmentation fault"),
    ),
    "memory": (
        pod(waiting("CrashLoopBackOff", lastState=ended(137, "", "OOMKilled"))),
        Failure("OutOfMemory", "a container was killed for using more memory than its limit"),
    ),
    "a bundle's folder that is not there": (
        pod(waiting("CreateContainerConfigError", 'failed to prepare subPath for volumeMount "models"')),
        Failure("BundleNotFound", 'failed to prepare subPath for volumeMount "models"'),
    ),
    "an image that cannot be pulled": (
        pod(waiting("ImagePullBackOff", "Back-off pulling image", image="example.com/x:1")),
        Failure("ImagePullFailed", "example.com/x:1: Back-off pulling image"),
    ),
    "no node with room": (
        unscheduled("0/3 nodes are available: 3 Insufficient cpu."),
        Failure("Unschedulable", "0/3 nodes are available: 3 Insufficient cpu."),
    ),
    "no such claim": (
        unscheduled('0/1 nodes are available: persistentvolumeclaim "models" not found.'),
        Failure("BundleNotFound", "PersistentVolumeClaim models does not exist in this namespace"),
    ),
}


@pytest.mark.parametrize("case", SAID)
def test_a_pod_s_trouble_is_one_word_and_one_sentence(case: str) -> None:
    found, expected = SAID[case]
    assert failure_of(None, None, [found]) == expected


def test_a_pod_that_simply_takes_its_time_is_no_failure() -> None:
    assert failure_of(None, None, [pod(waiting("ContainerCreating"))]) is None
    assert failure_of(None, None, [pod({"state": {"running": {}}, "ready": False})]) is None
    assert failure_of(None, None, []) is None


def test_a_ready_container_s_earlier_crash_is_past() -> None:
    assert failure_of(None, None, [pod({"state": {"running": {}}, "lastState": ended(1), "ready": True})]) is None


def test_a_pod_that_is_going_away_says_nothing() -> None:
    going = pod({"state": ended(1, DIGEST)})
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert failure_of(None, None, [going]) is None


def test_a_volume_that_does_not_mount_is_told_by_its_events() -> None:
    found = pod(waiting("ContainerCreating"))
    assert waits_for_volumes(found)
    assert failure_of(None, None, [found], ["MountVolume.SetUp failed: path does not exist"]) == Failure(
        "BundleNotFound", "MountVolume.SetUp failed: path does not exist"
    )
    assert failure_of(None, None, [found], ["timed out"]) == Failure("VolumeFailed", "timed out")


def test_a_quota_is_told_by_the_deployment() -> None:
    said = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: small"}
    assert failure_of(None, {"status": {"conditions": [said]}}, []) == Failure("QuotaExceeded", "exceeded quota: small")


def test_kserve_s_own_trouble_counts_where_there_are_no_pods() -> None:
    info = {"reason": "RuntimeNotRecognized", "message": "Waiting for runtime to become available"}
    service = {"status": {"modelStatus": {"lastFailureInfo": info}}}
    assert failure_of(service, None, []) == Failure("RuntimeNotRecognized", "Waiting for runtime to become available")
    assert failure_of(service, None, [pod(waiting("ContainerCreating"))]) is None


def test_a_deployment_that_kserve_cannot_make_is_told_but_not_its_lost_races() -> None:
    def said(message: str) -> Json:
        condition = {"type": "PredictorReady", "status": "False", "reason": "ReconcileFailed", "message": message}
        return {"status": {"conditions": [condition]}}

    found = failure_of(said("fails to reconcile predictor: Deployment.apps is invalid"), None, [])
    assert found == Failure("ReconcileFailed", "fails to reconcile predictor: Deployment.apps is invalid")
    assert failure_of(said("Operation cannot be fulfilled: the object has been modified"), None, []) is None


def test_long_messages_are_cut_and_written_in_one_line() -> None:
    found = failure_of(None, None, [unscheduled("a\n  b " + "x" * 900)])
    assert found is not None
    assert found.message.startswith("a b xxx")
    assert len(found.message) == 501
