"""What a revision is: the hash of the fields that reach the serving process."""

import hashlib
import json

from dialogue_operator.api.spec import DialogueModelSpec, ServingSpec


def serving_spec(spec: DialogueModelSpec) -> ServingSpec:
    """The part of the spec that makes a revision."""
    return ServingSpec(model=spec.model, runtime=spec.runtime, generation=spec.generation, dialogue=spec.dialogue)


def revision_of(serving: ServingSpec) -> str:
    """Eight hex digits of SHA-256 over canonical JSON.

    The predictor image is part of it only where the user names one: an operator upgrade rolls nobody's models.
    """
    text = json.dumps(serving.to_json(), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]
