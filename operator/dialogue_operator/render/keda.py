"""What KEDA needs: a ScaledObject on metrics of ours, and what its HTTP add-on needs to hold requests of a sleeping model.

The add-on would make a ScaledObject of its own, which knows its own count of requests alone. Ours has that count as one
trigger among others, so an arm has the same single scaler awake and asleep.
"""

from dataclasses import dataclass

from dialogue_operator import names
from dialogue_operator.api.base import Json
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.api.values import parse_duration
from dialogue_operator.render.autoscaler import Size, behavior, deployment
from dialogue_operator.render.capabilities import Capabilities
from dialogue_operator.render.metadata import metadata
from dialogue_operator.render.routes import GatewayRef

GAUGES = {"pendingTokens": names.METRIC_PENDING_TOKENS, "concurrency": names.METRIC_ACTIVE_CONVERSATIONS}
POLL_SECONDS = 5
HTTP_ADD_ON = "keda-add-ons-http"  # what the names of its Services begin with
INTERCEPTOR_PORT = 8080
WAKER_PORT = 9090
# The add-on's own are 20 s and half a second. Written as it writes them itself: it puts its own words in our place.
WAKE_TIMEOUT, REPLY_TIMEOUT = "2m0s", "1m0s"
OUR_OWN_SCALED_OBJECT = {"httpscaledobject.keda.sh/skip-scaledobject-creation": "true"}


@dataclass(frozen=True)
class Prometheus:
    """Where to ask. No answer is no reason to shrink, unless there may be no pod that could answer."""

    url: str
    silence_is_zero: bool


def scaled_object(model: DialogueModel, revision: str, size: Size, triggers: list[Json]) -> Json:
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": metadata(model, names.service_name(model.name, revision), revision),
        "spec": {
            "scaleTargetRef": deployment(model, revision),
            "minReplicaCount": size.least,
            "maxReplicaCount": size.most,
            "pollingInterval": POLL_SECONDS,
            "cooldownPeriod": int(parse_duration(model.spec.scaling.idle_timeout).total_seconds()),
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior()}},
            "triggers": triggers,
        },
    }


def query_trigger(model: DialogueModel, revision: str, metric: str, target: int, server: Prometheus) -> Json:
    """What the pods of one revision tell of themselves, variants that run in them included."""
    labels = {"namespace": model.namespace, "model": model.name, "revision": revision}
    selector = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return {
        "type": "prometheus",
        "metadata": {
            "serverAddress": server.url,
            "query": f"sum({GAUGES[metric]}{{{selector}}})",
            "threshold": str(target),
            "ignoreNullValues": "true" if server.silence_is_zero else "false",
        },
    }


def cpu_trigger(percent: int) -> Json:
    return {"type": "cpu", "metricType": "Utilization", "metadata": {"value": str(percent)}}


def wake_trigger(model: DialogueModel, capabilities: Capabilities) -> Json:
    """The add-on's count of requests, told as soon as there is one."""
    address = f"{HTTP_ADD_ON}-external-scaler.{capabilities.keda_namespace}:{WAKER_PORT}"
    told = {"scalerAddress": address, "httpScaledObject": http_scaled_object_name(model)}
    return {"type": "external-push", "metadata": told}


def http_scaled_object(model: DialogueModel, revision: str, gateway: GatewayRef, concurrency: int) -> Json:
    """Tells the interceptor whose requests to hold, by host, until the revision's Service has an endpoint.

    One a model, of an unchanging name: when another revision takes over, no moment is without it.
    """
    meta = metadata(model, http_scaled_object_name(model))
    service = {"service": names.predictor_name(model.name, revision), "port": names.SERVICE_HTTP_PORT}
    return {
        "apiVersion": "http.keda.sh/v1alpha1",
        "kind": "HTTPScaledObject",
        "metadata": {**meta, "annotations": OUR_OWN_SCALED_OBJECT},
        "spec": {
            "hosts": [names.http_host(model.name, model.namespace, gateway.domain)],
            "scaleTargetRef": {**deployment(model, revision), **service},
            "scalingMetric": {"concurrency": {"targetValue": concurrency}},
            "timeouts": {"conditionWait": WAKE_TIMEOUT, "responseHeader": REPLY_TIMEOUT},
        },
    }


def http_scaled_object_name(model: DialogueModel) -> str:
    """No ScaledObject has it: the add-on removes one of its own name when it is told to make none."""
    return f"{model.name}-http"


def interceptor_backend(capabilities: Capabilities) -> tuple[str, str, int]:
    """Namespace, Service and port that hold requests while no pod is there; for HTTP/1.1 alone, so not for gRPC."""
    return capabilities.keda_namespace, f"{HTTP_ADD_ON}-interceptor-proxy", INTERCEPTOR_PORT
