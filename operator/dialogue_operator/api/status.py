"""`status` of a DialogueModel: what was decided, when, and what was observed. All state of a rollout lives here."""

from typing import Literal

from pydantic import Field

from dialogue_operator.api.base import ApiModel
from dialogue_operator.api.rollout import Action
from dialogue_operator.api.spec import ServingSpec

Phase = Literal[
    "Pending",
    "Preparing",
    "Progressing",
    "Paused",
    "Switching",
    "Baking",
    "Draining",
    "RollingBack",
    "Stable",
    "Degraded",
]
Outcome = Literal["", "Promoted", "Rejected", "Aborted", "RolledBack", "Superseded"]
Verdict = Literal["Pass", "Fail", "Inconclusive", "NoData"]
ConditionStatus = Literal["True", "False", "Unknown"]


class Condition(ApiModel):
    """One observation about the object, in Kubernetes' usual form."""

    type: str = Field(
        description="Accepted, Ready, Progressing, RollbackReady, GatesTrusted or Autoscaling.", max_length=64
    )
    status: ConditionStatus = Field(description="True, False or Unknown.")
    reason: str = Field(description="One word for programs.", max_length=128)
    message: str = Field(default="", description="One sentence for people.", max_length=1024)
    observed_generation: int = Field(default=0, ge=0, description="Generation of the spec that this was said of.")
    last_transition_time: str = Field(description="When status last changed, RFC 3339.", max_length=40)


class RevisionRecord(ApiModel):
    """A revision that answers, or answered, conversations; enough to make it again."""

    revision: str = Field(description="Eight hex digits: the hash of what reaches the serving process.", max_length=8)
    serving: ServingSpec = Field(description="What this revision runs.")
    pods: str | None = Field(
        default=None,
        description="The revision in whose pods it runs, where the two differ in decoding alone; absent: it has its own.",
        max_length=8,
    )
    arm: str = Field(default="", description="The experiment's arm, or `shadow`, that this revision is.", max_length=32)
    bake_until: str | None = Field(
        default=None, description="Until then it stays at full size, ready to take back. RFC 3339.", max_length=40
    )
    since: str = Field(
        default="", description="An arm: since when it has its share, RFC 3339; empty before.", max_length=40
    )
    retire_at: str | None = Field(
        default=None,
        description="From then on it is taken down, once no traffic is left on it. RFC 3339.",
        max_length=40,
    )


class GateVerdict(ApiModel):
    """What one gate last said of one revision, with its evidence."""

    name: str = Field(description="The gate.", max_length=32)
    revision: str = Field(description="The revision that was judged.", max_length=8)
    step: int = Field(default=0, ge=0, description="The step it was judged in; 0 for an arm of an experiment.")
    verdict: Verdict = Field(description="Pass, Fail, Inconclusive (the evidence does not settle it yet) or NoData.")
    samples: int = Field(default=0, ge=0, description="Requests, replies or answers that the verdict rests on.")
    evidence: str = Field(default="", description="The figures, in one sentence.", max_length=512)


class ObservedRequest(ApiModel):
    """The verb that was obeyed or refused last."""

    id: str = Field(default="", description="spec.rollout.request.id as it was seen.", max_length=64)
    action: Action | None = Field(default=None, description="What it asked for.")
    problem: str = Field(default="", description="Why it could not be obeyed; empty where it was.", max_length=512)


class RolloutStatus(ApiModel):
    """The rollout that runs, or the last one that ran."""

    id: int = Field(default=0, ge=0, description="Counts rollouts of this object.")
    revision: str = Field(default="", description="The revision that this rollout brings.", max_length=8)
    attempt: int = Field(default=1, ge=1, description="How often this revision has been tried.")
    at_once: bool = Field(
        default=False,
        description="It takes over as soon as it is ready, without steps: it served before, or Promote was asked.",
    )
    started_at: str = Field(default="", description="When it began, RFC 3339.", max_length=40)
    preflight: str = Field(
        default="", description="What the golden dialogues said: Passed, or what went wrong.", max_length=1024
    )
    stages: str = Field(
        default="", description="Hash of the steps that it goes by: others begin it anew.", max_length=8
    )
    step: int = Field(
        default=0,
        ge=0,
        description="The step whose weight was told; 0 while it comes up, one past the last for all traffic.",
    )
    next_step: int = Field(default=1, ge=1, description="The step that its pods are being made ready for.")
    waiting_since: str = Field(default="", description="Since when those pods are waited for, RFC 3339.", max_length=40)
    setbacks: int = Field(default=0, ge=0, description="How often it lost its pods after it had been given traffic.")
    weight: int = Field(default=0, ge=0, le=100, description="Percent that was told to move to this revision.")
    step_started_at: str = Field(
        default="", description="When the gateway had taken the step's weight, RFC 3339; empty before.", max_length=40
    )
    paused: str = Field(default="", description="Why it waits for a person; empty where it does not.", max_length=64)
    outcome: Outcome = Field(default="", description="How it ended; empty while it runs.")
    reason: str = Field(default="", description="Why it is held up or was rejected, one word.", max_length=128)
    message: str = Field(default="", description="The same as one sentence.", max_length=1024)


class TrafficShare(ApiModel):
    """A share of new conversations, as observed on the route."""

    revision: str = Field(description="The revision that gets this share.", max_length=8)
    weight: int = Field(ge=0, le=100, description="Percent of new conversations.")
    name: str = Field(default="", description="stable, candidate, or the arm's name.", max_length=32)


class HistoryEntry(ApiModel):
    """A revision that took all traffic."""

    revision: str = Field(description="The revision.", max_length=8)
    version: str = Field(default="", description="spec.model.version of that revision.", max_length=63)
    promoted_at: str = Field(description="When it took all traffic, RFC 3339.", max_length=40)
    serving: ServingSpec | None = Field(default=None, description="What it ran: enough to go back to it.")


class DialogueModelStatus(ApiModel):
    """What the operator did and saw; written by the operator alone."""

    observed_generation: int = Field(default=0, ge=0, description="Generation of the spec that this status answers.")
    phase: Phase = Field(default="Pending", description="One word for people; derived, never read back.")
    url: str | None = Field(default=None, description="Where HTTP clients reach the model.", max_length=300)
    preview_url: str | None = Field(
        default=None, description="Where a BlueGreen's new revision is seen before its switch.", max_length=300
    )
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
        default=(),
        description="Revisions that answer conversations, or lend their pods to one that does.",
        max_length=24,
    )
    helped: bool = Field(
        default=False, description="Autoscalers or disruption budgets have been made for it at some time."
    )
    rejected_revision: str | None = Field(
        default=None,
        description="Asked for by the spec, but not tried again until the spec changes or Retry asks.",
        max_length=8,
    )
    rollout: RolloutStatus = Field(default=RolloutStatus(), description="The rollout that runs, or the last one.")
    request: ObservedRequest = Field(
        default=ObservedRequest(), description="The verb of spec.rollout.request that was answered last."
    )
    gates: tuple[GateVerdict, ...] = Field(
        default=(), description="What the gates last said of the candidate and of the arms.", max_length=144
    )
    history: tuple[HistoryEntry, ...] = Field(
        default=(), description="Revisions that took all traffic, newest first.", max_length=10
    )
    conditions: tuple[Condition, ...] = Field(
        default=(), description="Accepted, Ready, Progressing and so on.", max_length=16
    )
