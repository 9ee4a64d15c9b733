"""`spec` of a DialogueModel: what is served, where, how replies are decoded, how a new revision takes over."""

from typing import Annotated, Literal

from pydantic import Field

from dialogue_operator.api.base import ApiModel
from dialogue_operator.api.values import Duration, Quantity, duration_between, quantity_from


class ModelSource(ApiModel):
    """What is served. A change here makes a new revision."""

    uri: str = Field(
        description="Where the bundle lies: builtin://NAME is the model inside the predictor image, pvc://CLAIM/PATH "
        "a folder of a PersistentVolumeClaim in the same namespace. A published folder must never change.",
        pattern=r"^(builtin://[a-z0-9]([a-z0-9.-]*[a-z0-9])?|pvc://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(/[A-Za-z0-9_][A-Za-z0-9._-]*)+)$",
        max_length=512,
    )
    version: str = Field(
        default="",
        description="A label for people and dashboards, such as 1.0.0.",
        pattern=r"^([A-Za-z0-9]([A-Za-z0-9._+-]*[A-Za-z0-9])?)?$",
        max_length=63,
    )
    digest: str | None = Field(
        default=None,
        description="The bundle's digest, sha256:HEX, as `dialogue bundle inspect` prints it. The predictor refuses "
        "to serve a bundle that does not match.",
        pattern=r"^sha256:[0-9a-f]{64}$",
        max_length=71,
    )


class Resources(ApiModel):
    """What one predictor pod requests and may use."""

    cpu: Annotated[Quantity, quantity_from("10m")] = Field(
        default="1",
        description="CPU that one pod requests, such as 500m or 4; at least 10m. It may use up to 2 where it requests less.",
    )
    memory: Annotated[Quantity, quantity_from("256Mi")] = Field(
        default="2Gi", description="Memory request and limit of one pod, such as 2Gi; at least 256Mi."
    )


class Runtime(ApiModel):
    """Where and how the model runs. A change here makes a new revision."""

    precision: Literal["fp32", "bf16"] = Field(
        default="fp32", description="Number format of the weights while serving: fp32 or bf16."
    )
    image: str | None = Field(
        default=None,
        description="Predictor image; by default the one of this operator release.",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$",
        max_length=512,
    )
    resources: Resources = Field(default=Resources(), description="What one predictor pod requests and may use.")


class Generation(ApiModel):
    """How replies are decoded by default; a request may ask for less. A change here makes a new revision."""

    num_beams: int = Field(default=4, ge=1, le=16, description="Hypotheses kept for each reply; 1 is greedy search.")
    max_new_tokens: int = Field(default=48, ge=1, le=256, description="The longest reply, in tokens.")
    length_penalty: float = Field(
        default=1.0,
        ge=0,
        le=2,
        description="Exponent of the length a hypothesis' score is divided by; above 1 favours long.",
    )
    no_repeat_ngram: int = Field(
        default=3,
        ge=0,
        le=10,
        description="No run of this many tokens occurs twice in a reply; 0 allows repeats.",
    )


class Dialogue(ApiModel):
    """How much of the conversation the model sees. A change here makes a new revision."""

    max_turns: int = Field(
        default=12, ge=1, le=64, description="Newest turns that the model sees, within its token budget."
    )


class Scaling(ApiModel):
    """How many pods serve a revision. A change here never makes a new revision."""

    replicas: int = Field(default=1, ge=1, le=100, description="Pods of each revision that takes traffic.")


class Rollout(ApiModel):
    """How a new revision takes over. A change here never makes a new revision."""

    progress_deadline: Annotated[Duration, duration_between("5s", "24h")] = Field(
        default="10m",
        description="A new revision that is not ready after this long is given up; the old one keeps serving. From 5s to 24h.",
    )
    drain: Annotated[Duration, duration_between("0s", "24h")] = Field(
        default="30s",
        description="How long the old revision still answers its own conversations after traffic has moved. From 0s to 24h.",
    )


class DialogueModelSpec(ApiModel):
    """The desired state."""

    model: ModelSource = Field(description="What is served. A change here makes a new revision.")
    runtime: Runtime = Field(
        default=Runtime(), description="Where and how the model runs. A change here makes a new revision."
    )
    generation: Generation = Field(
        default=Generation(), description="How replies are decoded. A change here makes a new revision."
    )
    dialogue: Dialogue = Field(
        default=Dialogue(),
        description="What the model sees of a conversation. A change here makes a new revision.",
    )
    scaling: Scaling = Field(default=Scaling(), description="How many pods serve a revision.")
    rollout: Rollout = Field(default=Rollout(), description="How a new revision takes over from the old one.")


class ServingSpec(ApiModel):
    """The part of the spec that reaches the serving process: its hash is the revision."""

    model: ModelSource = Field(description="What this revision serves.")
    runtime: Runtime = Field(description="Where and how this revision runs.")
    generation: Generation = Field(description="How this revision decodes replies.")
    dialogue: Dialogue = Field(description="What this revision sees of a conversation.")
