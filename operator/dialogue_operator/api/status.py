"""`status` of a DialogueModel: what was decided, when, and what was observed. All state of a rollout lives here."""

from typing import Literal

from pydantic import Field

from dialogue_operator.api.base import ApiModel
from dialogue_operator.api.spec import ServingSpec

Phase = Literal["Pending", "Preparing", "Switching", "Draining", "Stable", "Degraded"]
ConditionStatus = Literal["True", "False", "Unknown"]


class Condition(ApiModel):
    """One observation about the object, in Kubernetes' usual form."""

    type: str = Field(description="Accepted, Ready or Progressing.", max_length=64)
    status: ConditionStatus = Field(description="True, False or Unknown.")
    reason: str = Field(description="One word for programs.", max_length=128)
    message: str = Field(default="", description="One sentence for people.", max_length=1024)
    observed_generation: int = Field(default=0, ge=0, description="Generation of the spec that this was said of.")
    last_transition_time: str = Field(description="When status last changed, RFC 3339.", max_length=40)


class RevisionRecord(ApiModel):
    """A revision that has, or had, its own InferenceService; enough to make it again."""

    revision: str = Field(description="Eight hex digits: the hash of what reaches the serving process.", max_length=8)
    serving: ServingSpec = Field(description="What this revision runs.")
    retire_at: str | None = Field(
        default=None,
        description="From then on it is taken down, once no traffic is left on it. RFC 3339.",
        max_length=40,
    )


class RolloutStatus(ApiModel):
    """The rollout that runs, or the last one that ran."""

    id: int = Field(default=0, ge=0, description="Counts rollouts of this object.")
    revision: str = Field(default="", description="The revision that this rollout brings.", max_length=8)
    started_at: str = Field(default="", description="When it began, RFC 3339.", max_length=40)
    switching: bool = Field(default=False, description="Traffic was told to move to this revision.")
    outcome: Literal["", "Promoted", "Rejected", "Superseded"] = Field(
        default="", description="How it ended; empty while it runs."
    )
    reason: str = Field(default="", description="Why it is held up or was rejected, one word.", max_length=128)
    message: str = Field(default="", description="The same as one sentence.", max_length=1024)


class TrafficShare(ApiModel):
    """A share of new conversations, as observed on the route."""

    revision: str = Field(description="The revision that gets this share.", max_length=8)
    weight: int = Field(ge=0, le=100, description="Percent of new conversations.")


class HistoryEntry(ApiModel):
    """A revision that took all traffic."""

    revision: str = Field(description="The revision.", max_length=8)
    version: str = Field(default="", description="spec.model.version of that revision.", max_length=63)
    promoted_at: str = Field(description="When it took all traffic, RFC 3339.", max_length=40)


class DialogueModelStatus(ApiModel):
    """What the operator did and saw; written by the operator alone."""

    observed_generation: int = Field(default=0, ge=0, description="Generation of the spec that this status answers.")
    phase: Phase = Field(default="Pending", description="One word for people; derived, never read back.")
    url: str | None = Field(default=None, description="Where HTTP clients reach the model.", max_length=300)
    grpc_host: str | None = Field(
        default=None, description="The authority that gRPC clients use at the gateway.", max_length=300
    )
    stable_revision: str | None = Field(default=None, description="The revision that holds the traffic.", max_length=8)
    candidate_revision: str | None = Field(default=None, description="The revision that is coming up.", max_length=8)
    stable_version: str | None = Field(
        default=None, description="spec.model.version of the stable revision.", max_length=63
    )
    replicas: int = Field(default=0, ge=0, description="Pods of the stable revision.")
    ready_replicas: int = Field(default=0, ge=0, description="Ready pods of the stable revision.")
    selector: str | None = Field(
        default=None, description="Label selector of this object's pods, for `kubectl scale`.", max_length=300
    )
    traffic: tuple[TrafficShare, ...] = Field(
        default=(), description="Shares of new conversations, as observed.", max_length=16
    )
    revisions: tuple[RevisionRecord, ...] = Field(
        default=(), description="Revisions that have pods of their own.", max_length=16
    )
    rollout: RolloutStatus = Field(default=RolloutStatus(), description="The rollout that runs, or the last one.")
    history: tuple[HistoryEntry, ...] = Field(
        default=(), description="Revisions that took all traffic, newest first.", max_length=10
    )
    conditions: tuple[Condition, ...] = Field(default=(), description="Accepted, Ready, Progressing.", max_length=8)
