"""The ServingRuntime of one revision whose bundle lies on a volume.

One a revision, never edited: KServe rolls every service that uses an edited runtime.
"""

from dialogue_operator import names
from dialogue_operator.api.base import Json
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.render.container import container, pod_fields
from dialogue_operator.render.metadata import metadata
from dialogue_operator.rollout.plan import RevisionPlan


def serving_runtime(model: DialogueModel, plan: RevisionPlan) -> Json:
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": metadata(model, names.service_name(model.name, plan.revision), plan.revision),
        "spec": {
            "supportedModelFormats": [{"name": names.MODEL_FORMAT, "version": "1", "autoSelect": False}],
            "protocolVersions": ["v2", "grpc-v2"],
            "multiModel": False,
            "containers": [container(model, plan)],
            **pod_fields(),
        },
    }
