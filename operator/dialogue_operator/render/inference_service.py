"""The InferenceService of one revision: Standard mode, written once, sized from outside.

`builtin://` is a custom predictor: KServe takes a `model` without storage for multi-model serving and injects its agent.
`pvc://` is a `model` on the revision's own ServingRuntime; KServe mounts the folder at /mnt/models.
"""

from dialogue_operator import names
from dialogue_operator.api.base import Json
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.render.container import container, pod_fields
from dialogue_operator.render.disruption import placement
from dialogue_operator.render.metadata import metadata
from dialogue_operator.rollout.plan import RevisionPlan

STANDARD_MODE = {
    "serving.kserve.io/deploymentMode": "Standard",
    "serving.kserve.io/autoscalerClass": "external",  # KServe leaves the Deployment's size alone
}
SCRAPED = {  # KServe hands these down to the pods
    "prometheus.io/scrape": "true",
    "prometheus.io/port": str(names.HTTP_PORT),
    "prometheus.io/path": names.METRICS_PATH,
}
NO_ROUTES_OF_ITS_OWN = {"networking.kserve.io/visibility": "cluster-local"}


def inference_service(model: DialogueModel, plan: RevisionPlan) -> Json:
    name = names.service_name(model.name, plan.revision)
    meta = metadata(model, name, plan.revision)
    meta["annotations"] = STANDARD_MODE | SCRAPED
    meta["labels"] |= NO_ROUTES_OF_ITS_OWN
    predictor: Json = {
        "minReplicas": 1,
        "terminationGracePeriodSeconds": names.TERMINATION_GRACE_SECONDS,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **placement(model, plan.revision),  # here also where there is a runtime: a runtime's pods cannot be spread
    }
    if needs_runtime(plan):
        resources = container(model, plan)["resources"]  # else KServe puts its own defaults over the runtime's
        predictor["model"] = {
            "modelFormat": {"name": names.MODEL_FORMAT, "version": "1"},
            "runtime": name,
            "protocolVersion": "v2",
            "storageUri": plan.serving.model.uri,
            "resources": resources,
        }
    else:
        predictor |= {"containers": [container(model, plan)], **pod_fields()}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": meta,
        "spec": {"predictor": predictor},
    }


def needs_runtime(plan: RevisionPlan) -> bool:
    """The bundle is on a volume that KServe mounts."""
    return plan.serving.model.uri.startswith("pvc://")
