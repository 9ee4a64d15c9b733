"""Why pods do not come up: from what Kubernetes says about them to one word and one sentence.

A function of objects as read. The predictor names its own reasons: on a fatal start error it leaves one line
`Reason: message` as the termination message.
"""

import re
from collections.abc import Iterable, Sequence

from dialogue_operator.api.base import Json
from dialogue_operator.rollout.observed import Failure

PREDICTOR_REASONS = ("BundleNotFound", "DigestMismatch", "BundleInvalid", "SpecInvalid", "LoadFailed")
_OWN_LINE = re.compile(rf"^({'|'.join(PREDICTOR_REASONS)}): *(.+)$", re.MULTILINE)
_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"})
_NOT_STARTED = frozenset({"ContainerCreating", "PodInitializing"})
_NO_CLAIM = re.compile(r'persistentvolumeclaim "([^"]+)" not found')
_PATH = re.compile(r"subPath|no such file or directory|does not exist", re.IGNORECASE)
MESSAGE_LIMIT = 500


def failure_of(
    service: Json | None, deployment: Json | None, pods: Sequence[Json], mounts: Iterable[str] = ()
) -> Failure | None:
    """The most telling reason first: a pod's own words, its volumes, its place; then the Deployment's, then KServe's.

    `mounts` are messages of FailedMount events of these pods.
    """
    living = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    statuses = [status for pod in living for status in _containers(pod)]
    for found in map(_container, statuses):
        if found:
            return found
    for message in mounts:
        return _failure("BundleNotFound" if _PATH.search(message) else "VolumeFailed", message)
    for pod in living:
        if found := _scheduling(pod):
            return found
    return _deployment(deployment) or (None if living else _service(service))


def waits_for_volumes(pod: Json) -> bool:
    """It has a node and its containers are not made yet: the reason, if any, stands only in events."""
    waiting = [(status.get("state") or {}).get("waiting") or {} for status in _containers(pod)]
    return bool(pod["spec"].get("nodeName")) and any(w.get("reason") in _NOT_STARTED for w in waiting)


def _containers(pod: Json) -> list[Json]:
    status = pod.get("status") or {}
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def _container(status: Json) -> Failure | None:
    state, last = status.get("state") or {}, (status.get("lastState") or {}).get("terminated")
    waiting, terminated = state.get("waiting"), state.get("terminated")
    if terminated and terminated.get("exitCode"):
        return _ended(terminated)
    if not waiting:
        return _ended(last) if last and last.get("exitCode") and not status.get("ready") else None
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason == "CrashLoopBackOff":
        return _ended(last) if last else _failure(reason, message)
    if reason in _IMAGE:
        return _failure("ImagePullFailed", f"{status.get('image', 'the image')}: {message or reason}")
    if reason in {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}:
        return _failure("BundleNotFound" if _PATH.search(message) else reason, message or reason)
    return None


def _ended(terminated: Json) -> Failure:
    """The container's last words; a log's tail where it had none of its own."""
    message = terminated.get("message", "")
    if own := _OWN_LINE.search(message):
        return _failure(own[1], own[2])
    lines = [line for line in message.splitlines() if line.strip()]
    last = f": {lines[-1].strip()}" if lines else ""
    if terminated.get("reason") == "OOMKilled":
        return _failure("OutOfMemory", f"a container was killed for using more memory than its limit{last}")
    return _failure("Crashed", f"a container ended with exit code {terminated.get('exitCode')}{last}")


def _scheduling(pod: Json) -> Failure | None:
    for condition in (pod.get("status") or {}).get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            message = condition.get("message", "")
            if claim := _NO_CLAIM.search(message):
                return _failure("BundleNotFound", f"PersistentVolumeClaim {claim[1]} does not exist in this namespace")
            return _failure("Unschedulable", message or "no node takes a pod of this revision")
    return None


def _deployment(deployment: Json | None) -> Failure | None:
    for condition in ((deployment or {}).get("status") or {}).get("conditions", []):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            message = condition.get("message", "")
            return _failure("QuotaExceeded" if "exceeded quota" in message else "PodsRefused", message)
    return None


def _service(service: Json | None) -> Failure | None:
    """KServe could not make the Deployment, or not from this runtime. Lost races are its daily bread and pass."""
    status = (service or {}).get("status") or {}
    for condition in status.get("conditions", []):
        message = condition.get("message", "")
        if condition.get("reason") == "ReconcileFailed" and "object has been modified" not in message:
            return _failure("ReconcileFailed", message)
    info = (status.get("modelStatus") or {}).get("lastFailureInfo") or {}
    return _failure(info["reason"], info.get("message", "")) if info.get("reason") else None


def _failure(reason: str, message: str) -> Failure:
    text = " ".join(message.split())
    return Failure(reason, text if len(text) <= MESSAGE_LIMIT else f"{text[:MESSAGE_LIMIT]}…")
