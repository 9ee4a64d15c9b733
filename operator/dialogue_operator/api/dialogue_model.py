"""The DialogueModel itself: identity, spec, status."""

from dataclasses import dataclass

from dialogue_operator.api.base import Json
from dialogue_operator.api.spec import DialogueModelSpec
from dialogue_operator.api.status import DialogueModelStatus


@dataclass(frozen=True)
class DialogueModel:
    """One object as read from the API server. The spec is parsed apart from the status, so that a spec this
    release cannot read does not hide the state of what already serves."""

    name: str
    namespace: str
    uid: str
    generation: int
    resource_version: str
    spec: DialogueModelSpec
    status: DialogueModelStatus

    @classmethod
    def parse(cls, manifest: Json) -> "DialogueModel":
        """Raises pydantic's ValidationError where the spec or the status does not fit the schema."""
        metadata = manifest["metadata"]
        return cls(
            name=metadata["name"],
            namespace=metadata.get("namespace", "default"),
            uid=metadata.get("uid", ""),
            generation=metadata.get("generation", 0),
            resource_version=metadata.get("resourceVersion", ""),
            spec=DialogueModelSpec.model_validate(manifest["spec"]),
            status=DialogueModelStatus.model_validate(manifest.get("status") or {}),
        )
