"""Announcements as Events: best effort, for people who run `kubectl describe`."""

import uuid
from datetime import UTC, datetime

from dialogue_operator import names
from dialogue_operator.api.base import Json
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.rollout.plan import Announcement

EVENT_LIMIT = 1024  # characters that the API server takes


def event_of(model: DialogueModel, said: Announcement, now: datetime, identity: str) -> Json:
    """A core/v1 Event. Its name is new each time, so that a repeated call makes no second one."""
    at = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{model.name}.{uuid.uuid4().hex[:16]}", "namespace": model.namespace},
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": model.name,
            "namespace": model.namespace,
            "uid": model.uid,
            "resourceVersion": model.resource_version,
        },
        "type": said.kind,
        "reason": said.reason,
        "message": said.message[:EVENT_LIMIT],
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
        "source": {"component": names.FIELD_MANAGER},
        "reportingComponent": names.FIELD_MANAGER,
        "reportingInstance": identity[:128],
    }
