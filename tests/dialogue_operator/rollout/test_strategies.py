"""BlueGreen, golden dialogues, arms, the shadow, variants and sleep, one sentence a test."""

from dialogue_operator.rollout.revision import overridden, revision_of, serving_spec
from support.tallies import tally
from support.world import World, serving

V2 = {"spec__model__version": "2.0.0"}
ERRORS = {"name": "errors", "metric": "errorRate", "margin": "0.5%", "minSamples": 200}
BLUE_GREEN = {"spec__rollout__strategy": "BlueGreen", "spec__rollout__preview": "5m"}


def arm(name: str, weight: int, **overrides: object) -> dict[str, object]:
    return {"name": name, "weight": weight, "overrides": overrides}


def test_blue_green_shows_the_new_revision_on_the_preview_host_first_and_then_switches_at_once() -> None:
    world = serving(**BLUE_GREEN, spec__scaling__minReplicas=2)
    old = world.target
    world.edit(**V2)
    world.look(3)
    assert [r.weights for r in world.previews] == [{world.target: 100}] * 2
    assert [r.weights for r in world.routes] == [{old: 100}] * 2
    assert world.pods[world.target].replicas == 2
    assert world.status.preview_url == "http://concierge.preview.assistants.models.example.com"
    world.look()
    world.wait(301)
    world.look(3)
    assert world.status.stable_revision == world.target
    assert world.previews == []
    world.look()
    assert world.status.preview_url is None


def test_a_preview_that_fails_its_gate_never_gets_a_user() -> None:
    world = serving(**BLUE_GREEN, spec__rollout__gates=[ERRORS])
    old = world.target
    world.edit(**V2)
    world.look(4)
    world.tallies = {world.target: tally(2_000, errors=500), old: tally(9_000)}
    world.look(2)
    assert world.status.rollout.reason == "GateFailed"
    assert [r.weights for r in world.routes] == [{old: 100}] * 2
    assert world.previews == []


def test_golden_dialogues_come_before_the_first_user() -> None:
    world = serving().edit(spec__preflight__configMapName="golden", **V2)
    stable = world.status.stable_revision
    world.golden = ""
    world.look(3)
    assert [r.weights for r in world.routes] == [{stable: 100}] * 2, "not answered yet"
    world.golden = "dialogue greeting: expected a reply that contains 'hello', got ''"
    world.look(2)
    assert world.status.rollout.reason == "PreflightFailed"
    assert "greeting" in world.status.rollout.message
    assert world.status.rejected_revision == world.target


def test_golden_dialogues_that_pass_let_it_go_on() -> None:
    world = serving().edit(spec__preflight__configMapName="golden", **V2)
    world.look(4)
    assert world.status.stable_revision == world.target
    assert world.status.rollout.preflight == "Passed"


def test_a_revision_that_differs_in_decoding_alone_needs_no_pods() -> None:
    world = serving()
    old = world.target
    world.edit(spec__generation__numBeams=2)
    decision = world.step()
    assert {r.revision for r in decision.plan.revisions} == {old}
    assert [(v.revision, v.pods, v.generation.num_beams) for v in decision.plan.variants] == [(world.target, old, 2)]
    assert decision.plan.traffic == ((world.target, 100),), "there is nothing to wait for"
    world.accept()
    world.look()
    assert world.status.stable_revision == world.target
    world.wait(3600)
    world.look(3)
    assert set(world.pods) == {old}, "its pods serve on"
    world.edit(**V2)
    world.look(4)
    world.wait(3600)
    world.look(4)
    assert set(world.pods) == {world.target}, "pods go with the last revision that runs in them"


def test_decoding_that_is_taken_back_finds_its_pods() -> None:
    world = serving()
    first = world.target
    world.edit(spec__generation__numBeams=2)
    world.look(3)
    world.wait(3600)
    world.look(2)
    world.edit(spec__generation__numBeams=4)
    world.look(3)
    assert world.status.stable_revision == first
    world.wait(3600)
    world.look(3)
    assert [r.revision for r in world.status.revisions] == [first]
    assert set(world.pods) == {first}


def test_arms_get_their_shares_when_their_pods_are_ready() -> None:
    world = serving()
    stable = world.target
    world.edit(
        spec__experiment__arms=[
            arm("short", 10, generation={"lengthPenalty": 0.5}),
            arm("other", 20, model={"uri": "builtin://other"}),
        ]
    )
    short, other = (_revision(world, name) for name in ("short", "other"))
    world.step()
    assert dict(world.step().plan.traffic) == {stable: 90, short: 10}, "the one without pods of its own moves at once"
    world.come_up()
    decision = world.step()
    assert dict(decision.plan.traffic) == {stable: 70, short: 10, other: 20}
    assert [v.revision for v in decision.plan.variants] == [short]
    world.accept()
    world.look()
    assert {t.name: t.weight for t in world.status.traffic} == {"stable": 70, "short": 10, "other": 20}


def test_arms_that_the_spec_drops_drain_and_go() -> None:
    world = serving(spec__experiment__arms=[arm("other", 20, model={"uri": "builtin://other"})])
    world.look(4)
    other = _revision(world, "other")
    assert dict(world.routes[0].weights)[other] == 20
    world.edit(spec__experiment__arms=[])
    decision = world.step()
    assert dict(decision.plan.traffic) == {world.target: 100}
    assert other in decision.plan.pinned
    world.wait(3600)
    world.look(4)
    assert set(world.pods) == {world.target}


def test_an_arm_whose_gate_fails_loses_its_share_for_good() -> None:
    world = serving().edit(
        spec__rollout__gates=[ERRORS], spec__experiment__arms=[arm("other", 20, model={"uri": "builtin://other"})]
    )
    world.look(4)
    other = _revision(world, "other")
    world.tallies = {other: tally(2_000, errors=500), world.target: tally(9_000)}
    world.look(2)
    assert dict(world.routes[0].weights) == {world.target: 100}
    assert "ArmStopped" in [a.reason for a in world.said]
    world.look(5)
    assert set(world.pods) == {world.target}
    assert world.step().announcements == ()


def test_an_a_a_arm_that_differs_takes_the_trust_from_all_gates() -> None:
    world = serving().edit(spec__rollout__gates=[ERRORS], spec__experiment__arms=[arm("same", 20)])
    world.look(4)
    same = _revision(world, "same")
    assert [v.pods for v in world.step().plan.variants] == [world.target], "it runs in the stable pods"
    world.tallies = {same: tally(5_000, errors=500), world.target: tally(9_000)}
    world.look(2)
    assert world.condition("GatesTrusted") == ("False", "SameRevisionDiffers")
    assert dict(world.routes[0].weights)[same] == 20, "the arm is not to blame"


def test_arms_stand_still_in_a_rollout_and_are_made_anew_when_it_is_promoted() -> None:
    world = serving(spec__experiment__arms=[arm("other", 20, generation={"numBeams": 1})])
    world.look(4)
    before = _revision(world, "other")
    world.edit(**V2)
    world.look()
    assert before in dict(world.routes[0].weights)
    world.look(6)
    assert world.status.stable_revision == world.target
    after = _revision(world, "other")
    assert after != before
    assert dict(world.routes[0].weights) == {world.target: 80, after: 20}


def test_the_shadow_is_copied_to_when_it_is_ready_and_never_has_a_user() -> None:
    world = serving()
    world.edit(spec__shadow={"percent": 5, "overrides": {"model": {"uri": "builtin://next"}}})
    assert world.step().plan.shadow is None
    world.come_up()
    decision = world.step()
    assert decision.plan.shadow
    shadow, percent = decision.plan.shadow
    assert percent == 5
    assert shadow not in dict(decision.plan.traffic)
    assert shadow not in decision.plan.pinned
    world.edit(spec__shadow=None)
    world.look(4)
    assert set(world.pods) == {world.target}


def test_a_model_that_may_sleep_sleeps_at_rest_and_wakes_for_a_rollout() -> None:
    world = World(spec={"spec__scaling__minReplicas": 0}, can_sleep=True)
    for _ in range(5):
        world.look()
    decision = world.step()
    assert decision.plan.asleep
    assert [(r.replicas, r.most) for r in decision.plan.revisions] == [(0, 1)]
    assert world.condition("Ready") == ("True", "Asleep")
    for route in world.routes:  # as it is read: it names the add-on, and no revision of ours
        route.weights, route.named = {"other": 1}, frozenset()
    world.edit(**V2)
    decision = world.step()
    assert {r.replicas for r in decision.plan.revisions} == {1}
    assert decision.plan.asleep, "its requests are held until its own first pod is there"
    world.come_up(world.status.stable_revision or "")
    assert not world.step().plan.asleep


def test_where_nobody_holds_requests_one_pod_stays_awake() -> None:
    world = serving(spec__scaling__minReplicas=0)
    decision = world.step()
    assert not decision.plan.asleep
    assert [r.replicas for r in decision.plan.revisions] == [1]


def _revision(world: World, name: str) -> str:
    """Of the arm of that name, as the spec has it now."""
    spec = world.model.spec
    arm = next(a for a in spec.experiment.arms if a.name == name)
    stable = next((r for r in world.status.revisions if r.revision == world.status.stable_revision), None)
    return revision_of(overridden(stable.serving if stable else serving_spec(spec), arm.overrides), name)
