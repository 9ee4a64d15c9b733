"""How a new revision takes over: strategy, steps, gates, verbs."""

from typing import Annotated, Literal

from pydantic import Field

from dialogue_operator.api.base import ApiModel, Rule
from dialogue_operator.api.values import Duration, Number, duration_between

Strategy = Literal["Immediate", "Canary", "BlueGreen"]
Metric = Literal[
    "errorRate",
    "latencyP50",
    "latencyP95",
    "latencyP99",
    "degenerateRate",
    "tokensPerReply",
    "beamMargin",
    "negativeFeedback",
]
Action = Literal["Promote", "Pause", "Resume", "Abort", "Retry", "Rollback"]

Name = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$", max_length=32)]


class Gate(ApiModel):
    """One question that a new revision must answer well: against the stable revision at the same time, or against a bound."""

    name: Name = Field(description="What the gate is called in status, Events and steps.")
    metric: Metric | None = Field(
        default=None,
        description="One of the predictor's own measures. errorRate, degenerateRate and negativeFeedback are shares; "
        "latencies are seconds; tokensPerReply and beamMargin are means.",
    )
    query: str | None = Field(
        default=None,
        description="PromQL with one number as its answer; $revision, $model and $namespace are filled in. Needs Prometheus.",
        min_length=1,
        max_length=1024,
    )
    margin: Number | None = Field(
        default=None,
        description="How much worse than the stable revision is still fine: percentage points for shares (0.5%), a part of "
        "the stable revision's value for all else (15%).",
    )
    max: Number | None = Field(default=None, description="The value must be at most this, such as 2% or 0.8.")
    min: Number | None = Field(default=None, description="The value must be at least this.")
    min_samples: int = Field(
        ge=1,
        le=1_000_000,
        description="Requests of the new revision in the running step before the gate says anything; for a query, answers.",
    )

    RULES = (
        Rule(
            "has(self.metric) != has(self.query)",
            lambda gate: (gate.metric is None) != (gate.query is None),
            "metric",
            "a gate has either a metric or a query, and not both",
        ),
        Rule(
            "(has(self.margin) ? 1 : 0) + (has(self.max) ? 1 : 0) + (has(self.min) ? 1 : 0) == 1",
            lambda gate: [gate.margin, gate.max, gate.min].count(None) == 2,
            "max",
            "a gate has exactly one of margin, max and min",
        ),
        Rule(
            "!(has(self.query) && has(self.margin))",
            lambda gate: gate.query is None or gate.margin is None,
            "margin",
            "a query is compared with max or min; only a metric can have a margin",
        ),
    )


class Step(ApiModel):
    """One share of new conversations, held for a while."""

    weight: int = Field(ge=1, le=99, description="Percent of new conversations that the new revision gets.")
    hold: Annotated[Duration, duration_between("1s", "168h")] = Field(
        default="1m", description="How long at least before the next step. From 1s to 168h."
    )
    gates: tuple[Name, ...] | None = Field(
        default=None,
        description="Names of the gates that must pass before the next step; all of them where this is not given.",
        max_length=16,
    )


class RolloutRequest(ApiModel):
    """A verb, as part of the spec, so that Git sees it. Each new id is obeyed once."""

    id: str = Field(description="Any new word or number.", pattern=r"^[A-Za-z0-9._-]+$", max_length=64)
    action: Action = Field(
        description="Promote: all traffic now. Pause, Resume: stop and go on. Abort: back to stable. Retry: try a rejected "
        "revision again. Rollback: back to the previous revision, or to the one named."
    )
    revision: str | None = Field(
        default=None, description="For Rollback: which one of status.history.", pattern=r"^[0-9a-f]{8}$", max_length=8
    )

    RULES = (
        Rule(
            "!has(self.revision) || self.action == 'Rollback'",
            lambda request: request.revision is None or request.action == "Rollback",
            "revision",
            "is for action Rollback alone",
        ),
        Rule(
            "self.id != oldSelf.id || self == oldSelf",
            lambda request: True,  # what stood there before is known to the API server alone
            "id",
            "each verb needs an id of its own: change it together with the action",
        ),
    )


class Rollout(ApiModel):
    """How a new revision takes over. A change here never makes a new revision."""

    strategy: Strategy = Field(
        default="Immediate",
        description="Immediate: all new conversations as soon as it is ready. Canary: step by step. BlueGreen: on a preview "
        "host first, then all at once.",
    )
    steps: tuple[Step, ...] = Field(default=(), description="The steps of a Canary.", max_length=16)
    preview: Annotated[Duration, duration_between("0s", "168h")] = Field(
        default="0s",
        description="BlueGreen: how long at least it serves on the preview host alone. From 0s to 168h.",
    )
    gates: tuple[Gate, ...] = Field(
        default=(), description="What must hold before a Canary's next step, or a BlueGreen's switch.", max_length=16
    )
    stickiness: Literal["Conversation", "None"] = Field(
        default="Conversation",
        description="Conversation: a conversation that names its revision stays with it. None: each request goes by weight.",
    )
    on_abort: Literal["Migrate", "Finish"] = Field(
        default="Migrate",
        description="Conversations of an aborted revision. Migrate: they go on with the stable one. Finish: they end where "
        "they are, for as long as `drain` says.",
    )
    bake: Annotated[Duration, duration_between("0s", "168h")] = Field(
        default="0s",
        description="How long the old revision stays at full size after it handed over, ready to take back. From 0s to 168h.",
    )
    progress_deadline: Annotated[Duration, duration_between("5s", "168h")] = Field(
        default="10m",
        description="A new revision that is not ready after this long, or a step whose gates have not answered this long after "
        "its hold, is given up; the old one keeps serving. From 5s to 168h.",
    )
    drain: Annotated[Duration, duration_between("0s", "24h")] = Field(
        default="30s",
        description="How long the old revision still answers its own conversations after it has handed over and baked. "
        "From 0s to 24h.",
    )
    request: RolloutRequest | None = Field(default=None, description="A verb: promote, pause, abort and so on.")

    RULES = (
        Rule(
            "(has(self.strategy) && self.strategy == 'Canary') == (has(self.steps) && size(self.steps) > 0)",
            lambda rollout: (rollout.strategy == "Canary") == bool(rollout.steps),
            "steps",
            "strategy Canary needs steps, and only it has them",
        ),
        Rule(
            "!has(self.steps) || self.steps.all(s, self.steps.filter(t, t.weight == s.weight).size() == 1) && "
            "self.steps.map(s, s.weight).isSorted()",
            lambda rollout: all(a.weight < b.weight for a, b in zip(rollout.steps, rollout.steps[1:], strict=False)),
            "steps",
            "the weights of steps must ascend",
        ),
        Rule(
            "!has(self.gates) || self.gates.all(g, self.gates.filter(h, h.name == g.name).size() == 1)",
            lambda rollout: len({gate.name for gate in rollout.gates}) == len(rollout.gates),
            "gates",
            "names of gates must differ",
        ),
        Rule(
            "!has(self.steps) || self.steps.all(s, !has(s.gates) || s.gates.all(n, has(self.gates) && "
            "self.gates.exists(g, g.name == n)))",
            lambda rollout: (
                {name for step in rollout.steps for name in step.gates or ()} <= {gate.name for gate in rollout.gates}
            ),
            "steps",
            "a step names a gate that rollout.gates does not have",
        ),
    )
