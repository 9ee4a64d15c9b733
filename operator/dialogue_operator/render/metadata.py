"""Names, labels and ownership that all rendered objects share."""

from dialogue_operator import names
from dialogue_operator.api.base import Json
from dialogue_operator.api.dialogue_model import DialogueModel


def metadata(model: DialogueModel, name: str, revision: str | None = None) -> Json:
    """Metadata of an object that goes when the DialogueModel goes.

    Labels of an InferenceService reach its pods, and a later change would restart them: written once, never again.
    """
    labels = {names.LABEL_MANAGED_BY: names.FIELD_MANAGER, names.LABEL_MODEL: model.name}
    if revision:
        labels[names.LABEL_REVISION] = revision
    owner = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": model.name,
        "uid": model.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {"name": name, "namespace": model.namespace, "labels": labels, "ownerReferences": [owner]}
