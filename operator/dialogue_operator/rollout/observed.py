"""The world as it was read, reduced to what a decision needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dialogue_operator.api.status import DialogueModelStatus
from dialogue_operator.rollout.evidence import Evidence


@dataclass(frozen=True)
class Failure:
    """Why pods of a revision do not come up: one word, one sentence."""

    reason: str
    message: str


@dataclass(frozen=True)
class ObservedRevision:
    """One revision's InferenceService, Deployment and pods."""

    revision: str
    ready: bool  # KServe says Ready and the Deployment has ready pods
    replicas: int  # what its Deployment asks for; 0 before KServe has made it
    ready_replicas: int
    deleting: bool = False
    failure: Failure | None = None


@dataclass(frozen=True)
class ObservedRoute:
    """One route of ours: where it sends new conversations, which revisions it names, whether the gateway took it."""

    weights: Mapping[str, int]
    named: frozenset[str]  # every revision that any rule refers to
    accepted: bool  # Accepted and ResolvedRefs, of the generation that was read
    problem: str = ""  # what the gateway said where it refused


@dataclass(frozen=True)
class Observed:
    """Everything one decision looks at."""

    revisions: Mapping[str, ObservedRevision] = field(default_factory=dict)
    routes: tuple[ObservedRoute, ...] = ()  # HTTP and gRPC; fewer while they are not made
    routes_wanted: int = 2
    previews: tuple[ObservedRoute, ...] = ()  # the same of the preview host
    host_conflict: str = ""  # another object holds our host: its kind, namespace and name
    refusal: Failure | None = None  # what the API server refused when the last decision was applied
    evidence: Evidence | None = None  # what the running step's revisions did; None where no gate asks
    scaling_problem: str = ""  # what of spec.scaling this cluster cannot do
    can_sleep: bool = False  # KEDA's HTTP add-on is there: it holds requests while no pod is up
    golden: Mapping[str, str] = field(default_factory=dict)  # revision → "Passed", or what its golden dialogues showed

    def may_carry_traffic(self, revision: str) -> bool:
        """Some route names it, or the gateway has not yet taken a route that may have named it before."""
        return any(revision in route.named or not route.accepted for route in (*self.routes, *self.previews))

    def share_is(self, revision: str, weight: int) -> bool:
        """Every route sends this percentage of new conversations to this revision, and the gateway has taken that."""
        return len(self.routes) == self.routes_wanted and all(
            route.accepted and route.weights.get(revision, 0) == weight for route in self.routes
        )

    def is_previewed(self, revision: str) -> bool:
        """The preview host answers with this revision."""
        return len(self.previews) == self.routes_wanted and all(
            route.accepted and dict(route.weights) == {revision: 100} for route in self.previews
        )

    def of(self, status: DialogueModelStatus, revision: str | None) -> ObservedRevision | None:
        """The pods in which a revision runs: its own, or those that it shares."""
        record = next((r for r in status.revisions if r.revision == revision), None)
        return self.revisions.get((record.pods if record else None) or revision or "")
