"""Builders: a DialogueModel as a person writes it, changed only where a test cares."""

import copy
from typing import Any

from dialogue_operator import names
from dialogue_operator.api.dialogue_model import DialogueModel

Json = dict[str, Any]
ABSENT = object()


def manifest(name: str = "concierge", namespace: str = "assistants", /, **changes: Any) -> Json:
    """A DialogueModel manifest; `changes` are set by path, dots as double underscores: `spec__scaling__minReplicas=3`."""
    found: Json = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"model": {"uri": "builtin://default", "version": "1.0.0"}},
    }
    return changed(found, {path.replace("__", "."): value for path, value in changes.items()})


def changed(original: Json, changes: Json) -> Json:
    """A copy with `{"spec.model.uri": …}` set, or removed where the value is ABSENT."""
    found = copy.deepcopy(original)
    for path, value in changes.items():
        *parents, last = path.split(".")
        node = found
        for key in parents:
            node = node.setdefault(key, {})
        if value is ABSENT:
            node.pop(last, None)
        else:
            node[last] = copy.deepcopy(value)
    return found


def model(name: str = "concierge", namespace: str = "assistants", /, **changes: Any) -> DialogueModel:
    """The same, as the operator reads it from the API server."""
    found = manifest(name, namespace, **changes)
    found["metadata"] |= {"uid": "0b0e2f6c-0000-4000-8000-000000000001", "generation": 1, "resourceVersion": "1"}
    return DialogueModel.parse(found)
