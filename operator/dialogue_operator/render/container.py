"""The predictor's container: the same in a ServingRuntime (pvc://) and in a custom predictor (builtin://).

It passes the `restricted` Pod Security Standard: numeric user, no privileges, read-only root, /tmp as the only place to
write.
"""

import json

from dialogue_operator import names
from dialogue_operator.api.base import Json
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.api.spec import ServingSpec
from dialogue_operator.api.values import parse_quantity
from dialogue_operator.rollout.plan import RevisionPlan

USER_ID = 10001
BURST_CPU = "2"


def container(model: DialogueModel, plan: RevisionPlan) -> Json:
    """One predictor container. Ready only after warm-up; on the way out it first leaves the endpoints, then drains."""
    serving = plan.serving
    ready = {"httpGet": {"path": names.READY_PATH.format(name=model.name), "port": names.HTTP_PORT}}
    live = {"httpGet": {"path": names.LIVE_PATH, "port": names.HTTP_PORT}}
    resources = serving.runtime.resources
    return {
        "name": names.CONTAINER,
        "image": serving.runtime.image,
        "imagePullPolicy": "IfNotPresent",
        "env": [
            {"name": names.ENV_MODEL_NAME, "value": model.name},
            {"name": names.ENV_REVISION, "value": plan.revision},
            {"name": names.ENV_SPEC, "value": _spec(serving)},
        ],
        "ports": [
            {"name": "http1", "containerPort": names.HTTP_PORT, "protocol": "TCP"},
            {"name": "grpc-oip", "containerPort": names.GRPC_PORT, "protocol": "TCP"},
        ],
        "startupProbe": {**ready, "periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 600},
        "readinessProbe": {**ready, "periodSeconds": 2, "timeoutSeconds": 1, "failureThreshold": 2},
        "livenessProbe": {**live, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
        "lifecycle": {"preStop": {"sleep": {"seconds": names.PRE_STOP_SECONDS}}},
        "terminationMessagePath": names.TERMINATION_LOG,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {  # a CPU limit, too: KServe would put its own default of 1 there, below what was requested
            "requests": {"cpu": resources.cpu, "memory": resources.memory},
            "limits": {"cpu": _cpu_limit(resources.cpu), "memory": resources.memory},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }


def pod_fields() -> Json:
    """What stands beside the container, in a ServingRuntime and in a custom predictor alike."""
    return {"volumes": [{"name": "tmp", "emptyDir": {}}]}


def _cpu_limit(request: str) -> str:
    """A limit there must be: KServe would put one of 1 CPU, and refuse requests above it. A start wants a burst."""
    return request if parse_quantity(request) > parse_quantity(BURST_CPU) else BURST_CPU


def _spec(serving: ServingSpec) -> str:
    """The serving part of the manifest, as the predictor reads it from its environment."""
    data = serving.to_json()
    precision = serving.runtime.precision
    data["runtime"] = {} if precision is None else {"precision": precision}
    return json.dumps(data, sort_keys=True, separators=(",", ":"))
