"""What holds whatever happens: pods come and go, specs change, the operator crashes, time passes."""

from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dialogue_operator.api.status import Verdict
from dialogue_operator.rollout.observed import Observed
from dialogue_operator.rollout.plan import Decision
from dialogue_operator.rollout.timing import parse_time
from support import laws
from support.chosen import Chosen, chosen_verdicts
from support.exploring.moves import ACTIONS
from support.exploring.wishes import ARMS, SHADOW, STRATEGIES
from support.world import World

VERSIONS = st.sampled_from(["1.0.0", "2.0.0", "3.0.0", "4.0.0"])
DEADLINE = timedelta(minutes=10)
DRAINS = st.sampled_from(["0s", "30s", "24h"])
REVISION = st.integers(min_value=0, max_value=5)


class AnyWorld(RuleBasedStateMachine):
    """Every rule is something that can happen to a DialogueModel; every decision on the way is judged."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.seen_before: Observed | None = None
        self.rejected: str | None = None

    @initialize(version=VERSIONS, replicas=st.integers(1, 3), drain=DRAINS, serves=st.booleans())
    def create(self, version: str, replicas: int, drain: str, serves: bool) -> None:
        self._edit(spec__model__version=version, spec__scaling__minReplicas=replicas, spec__rollout__drain=drain)
        if serves:
            self.world.heal(step=self._step)

    # people

    @rule(version=VERSIONS)
    def edit_version(self, version: str) -> None:
        self._edit(spec__model__version=version)

    @rule(replicas=st.integers(1, 3))
    def scale(self, replicas: int) -> None:
        self._edit(spec__scaling__minReplicas=replicas)

    @rule(drain=DRAINS)
    def edit_drain(self, drain: str) -> None:
        self._edit(spec__rollout__drain=drain)

    # the cluster

    @precondition(lambda self: self.world.pods)
    @rule(which=REVISION, ready=st.integers(0, 3))
    def pods_change(self, which: int, ready: int) -> None:
        pods = self.world.pods[self._pick(which)]
        pods.ready, pods.failure = min(ready, pods.replicas), None

    @precondition(lambda self: self.world.pods)
    @rule(which=REVISION, reason=st.sampled_from(["CrashLoopBackOff", "DigestMismatch"]))
    def pods_fail(self, which: int, reason: str) -> None:
        self.world.fail(self._pick(which), reason)

    @precondition(lambda self: self.world.pods)
    @rule(which=REVISION)
    def pods_vanish(self, which: int) -> None:
        del self.world.pods[self._pick(which)]

    @precondition(lambda self: self.world.pods)
    @rule(which=REVISION, ready=st.booleans())
    def kserve_says(self, which: int, ready: bool) -> None:
        self.world.pods[self._pick(which)].kserve_says_ready = ready

    @rule()
    def all_pods_come_up(self) -> None:
        self.world.come_up()

    @rule()
    def gateway_takes_the_routes(self) -> None:
        self.world.accept()

    @rule(conflict=st.sampled_from(["", "", "HTTPRoute other/concierge"]))
    def host(self, conflict: str) -> None:
        self.world.host_conflict = conflict

    @rule(seconds=st.sampled_from([1, 31, 601, 90000]))
    def time_passes(self, seconds: int) -> None:
        self.world.wait(seconds)

    # the operator

    @rule(crash=st.sampled_from(["", "", "", "before record", "between record and apply"]))
    def reconcile(self, crash: str) -> None:
        self._step(crash)

    @rule(version=VERSIONS, until=st.integers(1, 4), gateway=st.booleans())
    def roll_out(self, version: str, until: int, gateway: bool) -> None:
        """A rollout that goes well, up to a point."""
        self._edit(spec__model__version=version)
        for _ in range(until):
            self._step()
            self.world.come_up()
            if gateway:
                self.world.accept()

    @rule(version=VERSIONS)
    def roll_out_what_never_comes_up(self, version: str) -> None:
        self._edit(spec__model__version=version)
        self._step()
        if self.world.target in self.world.pods:
            self.world.fail(self.world.target)
        self.world.wait(601)
        self._step()

    @precondition(lambda self: self.seen_before is not None)
    @rule()
    def reconcile_on_what_was_seen_before(self) -> None:
        decision = self._judged(self.seen_before)
        self._record(decision)
        self.world.apply(decision.plan)

    @rule()
    def everything_heals(self) -> None:
        world, rollout = self.world, self.world.status.rollout
        late = (
            world.status.candidate_revision == world.target and world.now >= parse_time(rollout.started_at) + DEADLINE
        )
        rejected = self.rejected == world.target
        world.heal(decisions=20, step=self._step)
        if rejected or (late and world.status.rollout.outcome == "Rejected"):
            self.rejected = world.target
            assert world.status.phase == "Degraded"
            assert world.status.stable_revision != world.target
        else:
            assert world.status.phase == "Stable"
            assert world.status.stable_revision == world.target
        assert set(world.pods) == {world.status.stable_revision}
        assert [dict(r.weights) for r in world.routes] == [{world.status.stable_revision: 100}] * 2
        assert world.condition("Ready")[0] == "True"

    @invariant()
    def the_status_fits_its_schema(self) -> None:
        assert self.world.model.status == self.world.status

    # judgement

    def _judged(self, observed: Observed | None) -> Decision:
        assert observed is not None
        world, model = self.world, self.world.model
        decision = world.decide(observed)
        laws.check(model, observed, world.now, decision)
        self._check_plainly(observed, decision)
        self._check_fixpoint(observed, decision)
        return decision

    def _check_plainly(self, observed: Observed, decision: Decision) -> None:
        """What holds where nobody asks for more than an upgrade."""
        world, model = self.world, self.world.model
        plan, status = decision.plan, decision.status
        self._check_traffic(observed, decision)
        assert not any(observed.may_carry_traffic(name) for name in plan.prune)
        kept = {r.revision for r in plan.revisions} | set(dict(plan.traffic)) | set(plan.pinned)
        assert not kept & set(plan.prune)
        assert set(dict(plan.traffic)) | set(plan.pinned) <= {r.revision for r in plan.revisions}
        if self.rejected == world.target:
            assert status.candidate_revision != world.target, "a rejected revision is not tried again"
        assert model.generation == status.observed_generation

    def _check_traffic(self, observed: Observed, decision: Decision) -> None:
        plan, before, after = decision.plan, self.world.status, decision.status
        assert sum(weight for _, weight in plan.traffic) in {0, 100}
        if self.world.target == before.stable_revision and not observed.host_conflict:
            assert plan.traffic == ((before.stable_revision, 100),), "back to stable means all traffic, at once"
        for holder, _ in plan.traffic:
            carried = observed.routes and all(route.weights.get(holder) for route in observed.routes)
            if not carried and holder != before.stable_revision:
                assert observed.revisions[holder].ready, "traffic moves only to what is ready"
        if after.stable_revision != before.stable_revision:
            assert after.stable_revision
            assert before.rollout.weight == 100, "the intent was recorded before"
            assert observed.share_is(after.stable_revision, 100)

    def _check_fixpoint(self, observed: Observed, decision: Decision) -> None:
        """At a fixed time and world, decisions settle."""
        copy = World(dict(self.world.spec), decision.status, now=self.world.now, generation=self.world.generation)
        for _ in range(4):
            following = copy.decide(observed)
            if (following.status, following.plan) == (decision.status, decision.plan):
                assert following.announcements == (), "nothing happened, so nothing is said"
                return
            copy.record(following)
            decision = following
        raise AssertionError("decisions do not settle")

    def _step(self, crash: str = "") -> Decision:
        observed = self._observed()
        decision = self._judged(observed)
        if crash == "before record":
            return decision
        self._record(decision)
        if crash == "between record and apply":
            return decision
        routed = {name for route in self.world.routes for name in route.named}
        assert not routed & set(decision.plan.prune)
        self.world.apply(decision.plan)
        self.seen_before = observed
        return decision

    def _observed(self) -> Observed:
        return self.world.observe()

    def _record(self, decision: Decision) -> None:
        self.world.record(decision)
        if self.world.target != self.rejected:  # an edit that is taken back before anybody looks was none
            self.rejected = None
        if decision.status.rollout.outcome == "Rejected":
            self.rejected = decision.status.rollout.revision

    def _edit(self, **changes: Any) -> None:
        self.world.edit(**changes)

    def _pick(self, which: int) -> str:
        names = sorted(self.world.pods)
        return names[which % len(names)]


class AnyRollout(AnyWorld):
    """The same with strategies, gates, verbs, arms and a shadow; what gates say is chosen."""

    def __init__(self) -> None:
        super().__init__()
        self.verdict: Verdict = "Pass"
        self.requests = 0
        self.seam = chosen_verdicts()
        self.seam.__enter__()

    def teardown(self) -> None:
        self.seam.__exit__(None, None, None)

    @rule(strategy=st.sampled_from(sorted(STRATEGIES)))
    def edit_strategy(self, strategy: str) -> None:
        chosen = {"strategy": "Immediate", "steps": [], "gates": [], "preview": "0s"} | STRATEGIES[strategy]
        self._edit(**{f"spec__rollout__{name}": value for name, value in chosen.items()})

    @rule(arms=st.sampled_from(sorted(ARMS)), shadow=st.booleans())
    def edit_arms(self, arms: str, shadow: bool) -> None:
        self._edit(spec__experiment__arms=ARMS[arms], spec__shadow=SHADOW if shadow else None)

    @rule(beams=st.sampled_from([2, 4]))
    def edit_decoding(self, beams: int) -> None:
        self._edit(spec__generation__numBeams=beams)

    @rule(bake=st.sampled_from(["0s", "10m"]), on_abort=st.sampled_from(["Migrate", "Finish"]))
    def edit_ending(self, bake: str, on_abort: str) -> None:
        self._edit(spec__rollout__bake=bake, spec__rollout__onAbort=on_abort)

    @rule(golden=st.sampled_from(["", "Passed", "dialogue greeting: no answer"]), asked=st.booleans())
    def edit_golden_dialogues(self, golden: str, asked: bool) -> None:
        self.world.golden = golden
        self._edit(spec__preflight={"configMapName": "golden"} if asked else None)

    @rule(action=st.sampled_from(ACTIONS))
    def ask(self, action: str) -> None:
        self.requests += 1
        self._edit(spec__rollout__request={"id": str(self.requests), "action": action})

    @rule(verdict=st.sampled_from(["Pass", "Fail", "Inconclusive", "NoData"]))
    def gates_say(self, verdict: Verdict) -> None:
        self.verdict = verdict

    @rule(looks=st.integers(1, 6), seconds=st.sampled_from([0, 10, 60]))
    def all_goes_well_for_a_while(self, looks: int, seconds: int) -> None:
        self.verdict, self.world.golden, self.world.host_conflict = "Pass", "Passed", ""
        for _ in range(looks):
            self._step()
            self.world.come_up()
            self.world.accept()
            self.world.wait(seconds)

    @rule(
        version=VERSIONS,
        strategy=st.sampled_from(["canary", "blue-green", "half"]),
        looks=st.integers(2, 6),
        verdict=st.sampled_from(["Pass", "Fail", "NoData"]),
    )
    def roll_out_by_steps(self, version: str, strategy: str, looks: int, verdict: Verdict) -> None:
        """A gated rollout that goes well, up to a verdict."""
        self.edit_strategy(strategy)
        self._edit(spec__model__version=version)
        self.all_goes_well_for_a_while(looks, 0)
        self.verdict = verdict
        self.world.wait(10)
        self._step()

    @rule()
    def everything_heals(self) -> None:
        world = self.world
        self.verdict, world.golden, world.host_conflict = "Pass", "Passed", ""
        self._step()  # a Pause that was asked for and not heard yet is heard, or it would come after the Resume
        if world.status.candidate_revision and world.status.rollout.paused:
            self.ask("Resume")
        for _ in range(80):
            world.come_up()
            world.accept()
            decision = self._step()
            world.wait(decision.wake_after or 10)
        assert world.status.phase in ("Stable", "Degraded", "Baking", "Draining"), world.status
        assert world.target in (world.status.stable_revision, world.status.rejected_revision)
        assert world.condition("Ready")[0] == "True"

    def _check_plainly(self, observed: Observed, decision: Decision) -> None:
        """Here only the laws hold."""

    def _observed(self) -> Observed:
        names = {record.revision for record in self.world.status.revisions}
        self.world.tallies = dict.fromkeys(names, Chosen(verdict=self.verdict))
        return self.world.observe()


AnyWorld.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
AnyRollout.TestCase.settings = settings(AnyWorld.TestCase.settings, max_examples=25, stateful_step_count=30)
TestAnyWorld = AnyWorld.TestCase
TestAnyRollout = AnyRollout.TestCase
