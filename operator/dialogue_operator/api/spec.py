"""`spec` of a DialogueModel: what is served, where, at what size, how replies are decoded, what is tried beside it."""

from typing import Annotated, Literal

from pydantic import Field

from dialogue_operator.api.base import ApiModel, Rule
from dialogue_operator.api.rollout import Name, Rollout
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

    precision: Literal["fp32", "bf16", "int8"] | None = Field(
        default=None,
        description="Number format to compute in; by default what the bundle recommends. int8 is the fastest on CPUs and "
        "changes replies a little.",
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

    min_replicas: int = Field(
        default=1,
        ge=0,
        le=100,
        description="Pods of a revision that has all the traffic, at least; one with a share of it starts with that share of "
        "them. 0 lets an idle model sleep, where KEDA's HTTP add-on holds requests until it is awake.",
    )
    max_replicas: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="Pods of one revision, at most. Where it is not given, or no more than minReplicas, nothing scales by itself.",
    )
    metric: Literal["pendingTokens", "concurrency", "cpu"] = Field(
        default="cpu",
        description="What is scaled on: cpu by a HorizontalPodAutoscaler, the others by KEDA from Prometheus.",
    )
    target: Annotated[Quantity, quantity_from("1m")] | None = Field(
        default=None,
        description="Of the metric, for one pod: tokens still owed (4000 unless given), requests in flight (8), percent of the "
        "requested CPU (70).",
    )
    idle_timeout: Annotated[Duration, duration_between("10s", "24h")] = Field(
        default="5m",
        description="With minReplicas 0: how long without a request before the last pod goes. From 10s to 24h.",
    )

    RULES = (
        Rule(
            "!has(self.maxReplicas) || !has(self.minReplicas) || self.minReplicas <= self.maxReplicas",
            lambda scaling: scaling.max_replicas is None or scaling.min_replicas <= scaling.max_replicas,
            "minReplicas",
            "minReplicas must be at most maxReplicas",
        ),
    )


class GenerationOverrides(ApiModel):
    """What differs in decoding; the rest is as in spec.generation."""

    num_beams: int | None = Field(default=None, ge=1, le=16, description="Hypotheses kept for each reply.")
    max_new_tokens: int | None = Field(default=None, ge=1, le=256, description="The longest reply, in tokens.")
    length_penalty: float | None = Field(default=None, ge=0, le=2, description="Above 1 favours long replies.")
    no_repeat_ngram: int | None = Field(default=None, ge=0, le=10, description="No run of so many tokens twice.")


class ResourcesOverrides(ApiModel):
    """What differs in a pod's size; the rest is as in spec.runtime.resources."""

    cpu: Annotated[Quantity, quantity_from("10m")] | None = Field(
        default=None, description="CPU that one pod requests."
    )
    memory: Annotated[Quantity, quantity_from("256Mi")] | None = Field(
        default=None, description="Memory request and limit of one pod."
    )


class RuntimeOverrides(ApiModel):
    """What differs in where it runs; the rest is as in spec.runtime."""

    precision: Literal["fp32", "bf16", "int8"] | None = Field(default=None, description="Number format of the weights.")
    image: str | None = Field(
        default=None, description="Predictor image.", pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$", max_length=512
    )
    resources: ResourcesOverrides | None = Field(default=None, description="What differs in a pod's size.")


class Overrides(ApiModel):
    """How an arm differs from the rest of the spec. Nothing at all makes an A/A arm: it must not differ in any gate."""

    model: ModelSource | None = Field(default=None, description="Another model.")
    runtime: RuntimeOverrides | None = Field(default=None, description="Runs elsewhere or otherwise.")
    generation: GenerationOverrides | None = Field(
        default=None, description="Decodes otherwise. An arm that differs in nothing else needs no pods of its own."
    )


class Arm(ApiModel):
    """One arm of an experiment."""

    name: Name = Field(description="What the arm is called in status and metrics.")
    weight: int = Field(ge=1, le=99, description="Percent of new conversations that it gets.")
    overrides: Overrides = Field(default=Overrides(), description="How it differs from the rest of the spec.")


class Experiment(ApiModel):
    """A/B/n: arms that stay until the spec changes, each compared with the stable revision by rollout.gates."""

    arms: tuple[Arm, ...] = Field(default=(), description="The arms besides the stable revision.", max_length=8)

    RULES = (
        Rule(
            "!has(self.arms) || self.arms.all(a, self.arms.filter(b, b.name == a.name).size() == 1)",
            lambda experiment: len({arm.name for arm in experiment.arms}) == len(experiment.arms),
            "arms",
            "names of arms must differ",
        ),
        Rule(
            "!has(self.arms) || self.arms.all(a, !(a.name in ['stable', 'candidate', 'shadow']))",
            lambda experiment: not {arm.name for arm in experiment.arms} & {"stable", "candidate", "shadow"},
            "arms",
            "stable, candidate and shadow are no names for arms",
        ),
        Rule(
            "!has(self.arms) || self.arms.map(a, a.weight).sum() <= 99",
            lambda experiment: sum(arm.weight for arm in experiment.arms) <= 99,
            "arms",
            "weights of arms must sum to at most 99: the stable revision needs a share, too",
        ),
    )


class Shadow(ApiModel):
    """A revision that answers copies of conversations; nobody sees its replies, which are compared, counted and dropped."""

    percent: int = Field(ge=1, le=100, description="Percent of conversations that are copied to it.")
    overrides: Overrides = Field(description="How it differs from the rest of the spec.")


class Preflight(ApiModel):
    """Golden dialogues: a new revision answers them before its first user."""

    config_map_name: str = Field(
        description="A ConfigMap in the same namespace; its key dialogues.json holds the dialogues and what replies must be.",
        pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$",
        max_length=253,
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
    experiment: Experiment = Field(default=Experiment(), description="Arms that are tried beside the stable revision.")
    shadow: Shadow | None = Field(default=None, description="A revision that answers copies of conversations, unseen.")
    preflight: Preflight | None = Field(
        default=None, description="What a new revision must answer before its first user."
    )

    RULES = (
        Rule(
            "!has(self.experiment) || !has(self.experiment.arms) || !has(self.rollout) || !has(self.rollout.steps) || "
            "self.rollout.steps.all(s, s.weight + self.experiment.arms.map(a, a.weight).sum() <= 99)",
            lambda spec: (
                max((step.weight for step in spec.rollout.steps), default=0)
                + sum(arm.weight for arm in spec.experiment.arms)
                <= 99
            ),
            "experiment.arms",
            "the heaviest step and the arms must sum to at most 99: the stable revision needs a share, too",
        ),
        Rule(
            "!has(self.scaling) || !has(self.scaling.minReplicas) || self.scaling.minReplicas > 0 || "
            "(!has(self.shadow) && (!has(self.experiment) || !has(self.experiment.arms) || size(self.experiment.arms) == 0))",
            lambda spec: spec.scaling.min_replicas > 0 or not (spec.shadow or spec.experiment.arms),
            "scaling.minReplicas",
            "0 leaves no pod to arms and shadow: give at least 1, or remove them",
        ),
    )


class ServingSpec(ApiModel):
    """The part of the spec that reaches the serving process: its hash is the revision."""

    model: ModelSource = Field(description="What this revision serves.")
    runtime: Runtime = Field(description="Where and how this revision runs.")
    generation: Generation = Field(description="How this revision decodes replies.")
    dialogue: Dialogue = Field(description="What this revision sees of a conversation.")
