"""What a revision is: the hash of the fields that reach the serving process."""

import hashlib
import json

from dialogue_operator.api.spec import DialogueModelSpec, Overrides, ServingSpec


def serving_spec(spec: DialogueModelSpec) -> ServingSpec:
    """The part of the spec that makes a revision."""
    return ServingSpec(model=spec.model, runtime=spec.runtime, generation=spec.generation, dialogue=spec.dialogue)


def revision_of(serving: ServingSpec, arm: str = "") -> str:
    """Eight hex digits of SHA-256 over canonical JSON.

    The predictor image is part of it only where the user names one: an operator upgrade rolls nobody's models. An arm's
    name is part of it, too: an arm that differs in nothing is still a revision of its own.
    """
    text = json.dumps(serving.to_json(), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{arm}{text}".encode()).hexdigest()[:8]


def overridden(serving: ServingSpec, overrides: Overrides) -> ServingSpec:
    """The same with an arm's differences."""
    runtime = overrides.runtime.model_dump(exclude_none=True) if overrides.runtime else {}
    if overrides.runtime and overrides.runtime.resources:
        size = overrides.runtime.resources.model_dump(exclude_none=True)
        runtime["resources"] = serving.runtime.resources.model_copy(update=size)
    generation = overrides.generation.model_dump(exclude_none=True) if overrides.generation else {}
    return serving.model_copy(
        update={
            "model": overrides.model or serving.model,
            "runtime": serving.runtime.model_copy(update=runtime),
            "generation": serving.generation.model_copy(update=generation),
        }
    )


def can_share_pods(one: ServingSpec, other: ServingSpec) -> bool:
    """They differ in decoding alone, which a predictor is told with each request."""
    return one.model_copy(update={"generation": other.generation}) == other
