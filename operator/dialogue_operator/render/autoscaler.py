"""Kubernetes' own autoscaler, and what KEDA's needs alike: whose size it is, and how fast that may fall."""

from dataclasses import dataclass

from dialogue_operator import names
from dialogue_operator.api.base import Json
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.render.metadata import metadata

CALM_SECONDS = 120  # load comes in waves, and a new pod has to load the model: the highest need of this long counts


@dataclass(frozen=True)
class Size:
    """How many pods there may be."""

    least: int
    most: int


def autoscaler(model: DialogueModel, revision: str, size: Size, percent: int) -> Json:
    """Percent of the cpu that a pod requests."""
    usage = {"type": "Utilization", "averageUtilization": percent}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(model, names.service_name(model.name, revision), revision),
        "spec": {
            "scaleTargetRef": deployment(model, revision),
            "minReplicas": size.least,
            "maxReplicas": size.most,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": usage}}],
            "behavior": behavior(),
        },
    }


def deployment(model: DialogueModel, revision: str) -> Json:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "name": names.predictor_name(model.name, revision)}


def behavior() -> Json:
    return {"scaleDown": {"stabilizationWindowSeconds": CALM_SECONDS}}
