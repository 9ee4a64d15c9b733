"""Routes and hosts as they were read: weights, acceptance, rivals; and what counts as already applied."""

import copy
from typing import Any

import pytest

from dialogue_operator.api.spec import Generation
from dialogue_operator.cluster.apply import includes, is_current
from dialogue_operator.cluster.hosts import attaches_to
from dialogue_operator.cluster.routes import observed_route
from dialogue_operator.render.routes import GatewayRef, routes
from dialogue_operator.rollout.plan import Plan, Variant
from support.objects import model

Json = dict[str, Any]
GATEWAY = GatewayRef("dialogue", "infra", "models.test")
OLD, NEW = "0000000a", "0000000b"
TAKEN = ("Accepted", "ResolvedRefs")


def rendered(plan: Plan) -> Json:
    """The HTTPRoute."""
    return routes(model(), plan, GATEWAY)[0]


def live(
    traffic: dict[str, int],
    pinned: tuple[str, ...] = (),
    said: dict[str, str] | None = None,
    variants: tuple[Variant, ...] = (),
) -> Json:
    """A route as the server keeps it: with defaults, and with the gateway's verdict on generation 3."""
    route = copy.deepcopy(rendered(Plan((), variants, tuple(traffic.items()), pinned)))
    route["metadata"] |= {"generation": 3, "resourceVersion": "9", "labels": {**route["metadata"]["labels"], "x": "y"}}
    for rule in route["spec"]["rules"]:
        rule.setdefault("matches", [{"path": {"type": "PathPrefix", "value": "/"}}])
    for parent in route["spec"]["parentRefs"]:
        parent |= {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
    conditions = [
        {"type": type_, "status": status, "observedGeneration": 3, "reason": "R", "message": "m"}
        for type_, status in (said or dict.fromkeys(TAKEN, "True")).items()
    ]
    parent = {"parentRef": {"name": "dialogue", "namespace": "infra"}, "conditions": conditions}
    return {**route, "status": {"parents": [parent]}}


def test_weights_are_those_of_new_conversations_and_pins_are_only_named() -> None:
    route = observed_route(model(), GATEWAY, live({NEW: 100}, pinned=(OLD, NEW)))
    assert route.weights == {NEW: 100}
    assert route.named == {OLD, NEW}
    assert route.accepted


@pytest.mark.parametrize(
    "weights", [{OLD: 70, NEW: 30}, {OLD: 67, NEW: 33}, {NEW: 100}, {OLD: 1, NEW: 6}, {OLD: 93, NEW: 7}]
)
def test_shares_of_revisions_in_the_same_pods_are_read_back_as_they_were_written(weights: dict[str, int]) -> None:
    found = live(weights, variants=(Variant(NEW, OLD, Generation()),))
    [backend] = found["spec"]["rules"][-1]["backendRefs"]
    assert backend["weight"] == sum(weights.values())
    route = observed_route(model(), GATEWAY, found)
    assert route.weights == weights
    assert route.named == {OLD}


def test_words_of_strangers_in_our_header_are_no_shares() -> None:
    found = live({OLD: 70, NEW: 30}, variants=(Variant(NEW, OLD, Generation()),))
    found["spec"]["rules"][-1]["filters"][0]["requestHeaderModifier"]["set"][0]["value"] = "{not json"
    assert observed_route(model(), GATEWAY, found).weights == {OLD: 100}


def test_a_backend_that_somebody_put_there_is_seen_as_a_stranger() -> None:
    found = live({NEW: 90})
    found["spec"]["rules"][-1]["backendRefs"].append({"name": "concierge-canary-predictor", "weight": 10})
    route = observed_route(model(), GATEWAY, found)
    assert route.weights == {NEW: 90, "other": 10}
    assert route.named == {NEW}


@pytest.mark.parametrize("refused", TAKEN)
def test_a_route_the_gateway_refuses_is_not_accepted_and_says_why(refused: str) -> None:
    route = observed_route(model(), GATEWAY, live({NEW: 100}, said={**dict.fromkeys(TAKEN, "True"), refused: "False"}))
    assert not route.accepted
    assert route.problem == "R: m"


def test_a_verdict_on_an_earlier_generation_does_not_count() -> None:
    found = live({NEW: 100})
    found["metadata"]["generation"] = 4
    route = observed_route(model(), GATEWAY, found)
    assert (route.accepted, route.problem) == (False, "")


def test_a_verdict_of_another_gateway_does_not_count() -> None:
    found = live({NEW: 100})
    found["status"]["parents"][0]["parentRef"]["name"] = "other"
    assert not observed_route(model(), GATEWAY, found).accepted


def test_what_the_server_added_needs_no_write_and_what_somebody_changed_does() -> None:
    plan = Plan(traffic=((NEW, 100),), pinned=(OLD,))
    desired = rendered(plan)
    found = live({NEW: 100}, pinned=(OLD,))
    assert is_current(found, desired)
    found["spec"]["rules"][-1]["backendRefs"][0]["weight"] = 50
    assert not is_current(found, desired)
    assert not is_current(live({NEW: 100}, pinned=(OLD, NEW)), desired)
    unlabelled = live({NEW: 100}, pinned=(OLD,))
    unlabelled["metadata"]["labels"].clear()
    assert not is_current(unlabelled, desired)


def test_lists_are_compared_as_wholes_and_objects_by_what_is_wanted() -> None:
    assert includes({"a": 1, "b": [{"c": 2, "d": 3}]}, {"b": [{"c": 2}]})
    assert not includes({"b": [1, 2]}, {"b": [1]})
    assert not includes({}, {"a": None})


def test_only_routes_of_our_gateway_can_be_rivals() -> None:
    assert attaches_to(live({NEW: 100}), GATEWAY)
    assert not attaches_to(live({NEW: 100}), GatewayRef("dialogue", "elsewhere", "models.test"))
    homely = live({NEW: 100})
    del homely["spec"]["parentRefs"][0]["namespace"]
    assert not attaches_to(homely, GATEWAY)
    assert attaches_to(homely, GatewayRef("dialogue", "assistants", "models.test"))
