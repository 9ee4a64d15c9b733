"""Who scales what on which cluster, and what is said where it cannot be had."""

from typing import Any

import pytest

from dialogue_operator import names
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.render.capabilities import Capabilities
from dialogue_operator.render.disruption import disruption_budgets
from dialogue_operator.render.keda import interceptor_backend
from dialogue_operator.render.routes import GatewayRef
from dialogue_operator.render.scaler import is_scaled, least, scaling_objects, scaling_problem
from dialogue_operator.rollout.plan import Plan, RevisionPlan
from dialogue_operator.rollout.revision import serving_spec
from support.objects import model

GATEWAY = GatewayRef("dialogue", "kserve", "models.example.com")
NOTHING = Capabilities()
CPU_ALONE = Capabilities(metrics=True)
ALL = Capabilities(keda=True, http_addon=True, metrics=True, prometheus_url="http://prometheus:9090")
STABLE, CANDIDATE = "11111111", "22222222"


def scaled(**scaling: Any) -> DialogueModel:
    return model(spec__scaling={"minReplicas": 1, "maxReplicas": 4, **scaling})


def plan(found: DialogueModel, *sizes: tuple[int, int], **more: Any) -> Plan:
    serving = serving_spec(found.spec)
    revisions = [RevisionPlan(r, serving, *size) for r, size in zip((STABLE, CANDIDATE), sizes, strict=False)]
    return Plan(tuple(revisions), traffic=((STABLE, 100),), **more)


def rendered(found: DialogueModel, wanted: Plan, capabilities: Capabilities) -> list[dict[str, Any]]:
    return scaling_objects(found, wanted, capabilities, GATEWAY)


def test_cpu_is_kubernetes_own_scaler_on_the_deployment_that_kserve_makes() -> None:
    found = scaled(metric="cpu", target="55")
    [scaler] = rendered(found, plan(found, (2, 4)), ALL)
    assert scaler["kind"] == "HorizontalPodAutoscaler"
    assert scaler["spec"]["scaleTargetRef"]["name"] == names.predictor_name("concierge", STABLE)
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (2, 4)
    assert scaler["spec"]["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 55}
    assert scaler["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= 60


@pytest.mark.parametrize(
    ("metric", "gauge", "threshold"),
    [("pendingTokens", "dialogue_pending_tokens", "4000"), ("concurrency", "dialogue_active_conversations", "8")],
)
def test_our_own_metrics_go_through_keda(metric: str, gauge: str, threshold: str) -> None:
    found = scaled(metric=metric)
    [scaler] = rendered(found, plan(found, (1, 4)), ALL)
    assert scaler["kind"] == "ScaledObject"
    assert (scaler["spec"]["minReplicaCount"], scaler["spec"]["maxReplicaCount"]) == (1, 4)
    [trigger] = scaler["spec"]["triggers"]
    assert trigger["metadata"] == {
        "serverAddress": "http://prometheus:9090",
        "query": f'sum({gauge}{{namespace="assistants",model="concierge",revision="{STABLE}"}})',
        "threshold": threshold,
        "ignoreNullValues": "false",  # no data is no reason to shrink
    }


def test_every_arm_that_may_grow_has_one_scaler_and_the_others_none() -> None:
    found = scaled(metric="cpu")
    both = rendered(found, plan(found, (1, 4), (1, 2)), ALL)
    assert [one["metadata"]["name"] for one in both] == [f"concierge-{STABLE}", f"concierge-{CANDIDATE}"]
    assert len(rendered(found, plan(found, (1, 4), (2, 2)), ALL)) == 1
    assert rendered(found, plan(found, (3, 0)), ALL) == []


def test_without_keda_or_prometheus_it_is_cpu_with_the_target_for_cpu() -> None:
    found = scaled(metric="pendingTokens", target="9000")
    for less in (
        CPU_ALONE,
        Capabilities(keda=True, metrics=True),
        Capabilities(metrics=True, prometheus_url="http://p"),
    ):
        [scaler] = rendered(found, plan(found, (1, 4)), less)
        assert scaler["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 70


def test_asleep_one_scaler_wakes_and_scales_and_the_interceptor_knows_the_host() -> None:
    found = scaled(minReplicas=0, metric="pendingTokens", idleTimeout="90s")
    scaler, held = rendered(found, plan(found, (0, 4), asleep=True), ALL)
    assert (scaler["spec"]["minReplicaCount"], scaler["spec"]["cooldownPeriod"]) == (0, 90)
    query, wake = scaler["spec"]["triggers"]
    assert query["metadata"]["ignoreNullValues"] == "true"  # no pod, nothing that could say zero
    assert wake["type"] == "external-push"
    assert wake["metadata"]["httpScaledObject"] == held["metadata"]["name"] != scaler["metadata"]["name"]
    assert held["metadata"]["annotations"] == {"httpscaledobject.keda.sh/skip-scaledobject-creation": "true"}
    assert held["spec"]["hosts"] == ["concierge.assistants.models.example.com"]
    assert held["spec"]["scaleTargetRef"]["service"] == names.predictor_name("concierge", STABLE)
    assert held["spec"]["timeouts"] == {"conditionWait": "2m0s", "responseHeader": "1m0s"}


def test_a_model_without_a_most_sleeps_all_the_same_and_wakes_to_one_pod() -> None:
    found = model(spec__scaling={"minReplicas": 0})
    scaler, _ = rendered(found, plan(found, (0, 0), asleep=True), ALL)
    assert (scaler["spec"]["minReplicaCount"], scaler["spec"]["maxReplicaCount"]) == (0, 1)


def test_waking_and_awake_the_scaler_is_the_same_object_with_a_pod_at_least() -> None:
    """Requests are still held while the pods come; only then does the traffic move, and the wake-up call end."""
    found = scaled(minReplicas=0, metric="cpu")
    waking, held = rendered(found, plan(found, (1, 4), asleep=True), ALL)
    awake, still_held = rendered(found, plan(found, (1, 4)), ALL)
    assert held == still_held  # it is there before and after any request takes that way
    assert waking["spec"]["minReplicaCount"] == awake["spec"]["minReplicaCount"] == 1
    assert (waking["kind"], waking["metadata"]) == (awake["kind"], awake["metadata"])
    assert [one["type"] for one in waking["spec"]["triggers"]] == ["cpu", "external-push"]
    assert [one["type"] for one in awake["spec"]["triggers"]] == ["cpu"]


def test_a_candidate_beside_a_waking_model_has_a_scaler_of_its_own_and_a_pod() -> None:
    found = scaled(minReplicas=0, metric="cpu")
    stable, candidate, held = rendered(found, plan(found, (0, 4), (0, 4), asleep=True), ALL)
    assert stable["spec"]["minReplicaCount"] == 0
    assert candidate["spec"]["minReplicaCount"] == 1
    assert [one["type"] for one in candidate["spec"]["triggers"]] == ["cpu"]
    assert held["spec"]["scaleTargetRef"]["service"] == names.predictor_name("concierge", STABLE)


@pytest.mark.parametrize("less", [CPU_ALONE, Capabilities(keda=True), Capabilities(http_addon=True)])
def test_nobody_sleeps_without_somebody_to_wake_them(less: Capabilities) -> None:
    found = scaled(minReplicas=0)
    wanted = plan(found, (0, 4), asleep=True)
    [revision] = wanted.revisions
    assert least(wanted, revision, less) == 1
    assert is_scaled(wanted, revision, less)
    [scaler] = rendered(found, wanted, less)
    assert scaler["spec"]["minReplicas"] == 1
    assert "one pod stays awake" in scaling_problem(found, less)


def test_what_cannot_be_had_is_said_with_what_is_done_instead() -> None:
    assert scaling_problem(scaled(metric="pendingTokens"), ALL) == ""
    assert (
        scaling_problem(scaled(metric="pendingTokens"), CPU_ALONE)
        == "metric pendingTokens needs KEDA and Prometheus; scaling on cpu instead"
    )
    said = scaling_problem(scaled(minReplicas=0, metric="concurrency"), NOTHING).split(". ")
    assert len(said) == 3
    assert "nothing scales until it is there" in said[-1]


@pytest.mark.parametrize("fixed", [{}, {"minReplicas": 3}, {"minReplicas": 2, "maxReplicas": 2}])
def test_a_fixed_size_needs_nothing_and_says_nothing(fixed: dict[str, Any]) -> None:
    assert scaling_problem(model(spec__scaling={**fixed, "metric": "pendingTokens"}), NOTHING) == ""


def test_scalers_go_with_their_dialogue_model_and_their_names_fit() -> None:
    found = model("a" * names.MAX_NAME_LENGTH, "ns", spec__scaling={"minReplicas": 0, "metric": "concurrency"})
    for one in rendered(found, plan(found, (0, 2), asleep=True), ALL):
        assert one["metadata"]["ownerReferences"][0]["uid"] == found.uid
        assert one["metadata"]["labels"][names.LABEL_MODEL] == found.name
        assert len("keda-hpa-" + one["metadata"]["name"]) <= 63  # KEDA labels what it makes with that name


def test_the_interceptor_is_where_keda_is() -> None:
    backend = interceptor_backend(Capabilities(keda_namespace="autoscaling"))
    assert backend == ("autoscaling", "keda-add-ons-http-interceptor-proxy", 8080)


def test_a_budget_for_whom_it_lets_move() -> None:
    found = scaled()
    assert disruption_budgets(found, plan(found, (1, 1))) == []
    for size in ((2, 0), (1, 3)):
        [budget] = disruption_budgets(found, plan(found, size))
        assert budget["spec"]["maxUnavailable"] == 1
        wanted = {names.LABEL_MODEL: "concierge", names.LABEL_REVISION: STABLE}
        assert budget["spec"]["selector"]["matchLabels"] == wanted
