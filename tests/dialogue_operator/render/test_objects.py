"""What is rendered, beside golden files, and the rules that KServe and the Pod Security Standard set."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from dialogue_operator import names
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.api.spec import Generation
from dialogue_operator.cli.first_plan import first_objects
from dialogue_operator.render.capabilities import Capabilities
from dialogue_operator.render.objects import immutable_objects, route_objects
from dialogue_operator.render.routes import GatewayRef
from dialogue_operator.rollout.plan import Plan, RevisionPlan, Variant
from dialogue_operator.rollout.revision import revision_of, serving_spec
from support.objects import model
from support.restricted import violations
from support.samples import check_golden, dialogue_models, documents

GATEWAY = GatewayRef("dialogue", "kserve", "models.example.com")
IMAGE = "example.com/predictor:1"
GOLDEN = Path(__file__).parent / "golden"
CASES = {
    "builtin": model(),
    "volume": model(
        spec__model={"uri": "pvc://models/concierge/2.0.0", "version": "2.0.0", "digest": "sha256:" + "ab" * 32},
        spec__runtime={"precision": "bf16", "image": "example.com/own:7", "resources": {"cpu": "4", "memory": "16Gi"}},
        spec__generation={"numBeams": 1, "maxNewTokens": 16, "lengthPenalty": 0.6, "noRepeatNgram": 0},
        spec__scaling__minReplicas=3,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_first_objects_are_the_golden_ones(case: str, update_golden: bool) -> None:
    text = yaml.safe_dump_all(first_objects(CASES[case], GATEWAY, IMAGE), sort_keys=False, width=120)
    check_golden(GOLDEN / f"{case}.yaml", text, update_golden)


def test_routes_in_mid_rollout_are_the_golden_ones(update_golden: bool) -> None:
    plan = Plan(traffic=(("22222222", 100),), pinned=("11111111", "22222222"))
    text = yaml.safe_dump_all(route_objects(model(), plan, GATEWAY), sort_keys=False, width=120)
    check_golden(GOLDEN / "draining_routes.yaml", text, update_golden)


def test_routes_with_everything_at_once_are_the_golden_ones(update_golden: bool) -> None:
    variant = Variant("33333333", "11111111", Generation(num_beams=2))
    plan = Plan(
        variants=(variant,),
        traffic=(("11111111", 65), ("22222222", 25), ("33333333", 10)),
        pinned=("11111111", "22222222", "33333333"),
        shadow=("44444444", 5),
        preview="22222222",
    )
    text = yaml.safe_dump_all(route_objects(model(), plan, GATEWAY), sort_keys=False, width=120)
    check_golden(GOLDEN / "canary_routes.yaml", text, update_golden)


def test_a_sleeping_model_is_reached_by_way_of_who_holds_its_requests() -> None:
    plan = Plan(
        (RevisionPlan("11111111", serving_spec(model().spec), 0, 1),), traffic=(("11111111", 100),), asleep=True
    )
    http, grpc = route_objects(model(), plan, GATEWAY, Capabilities(keda=True, http_addon=True))
    [backend] = http["spec"]["rules"][0]["backendRefs"]
    assert (backend["namespace"], backend["name"]) == ("keda", "keda-add-ons-http-interceptor-proxy")
    assert "namespace" not in grpc["spec"]["rules"][-1]["backendRefs"][0]


def test_no_rule_lets_a_client_speak_for_the_gateway() -> None:
    for plan in (Plan(traffic=(("11111111", 100),), pinned=("11111111",)), Plan(traffic=(("11111111", 100),))):
        for route in route_objects(model(), plan, GATEWAY):
            for rule in route["spec"]["rules"]:
                [only] = rule["filters"]
                assert set(only["requestHeaderModifier"]["remove"]) == {names.HEADER_ARMS, names.HEADER_SHADOW}


def test_no_traffic_means_no_routes() -> None:
    assert route_objects(model(), Plan(), GATEWAY) == []


@pytest.mark.parametrize("path", dialogue_models(), ids=lambda path: path.stem)
def test_every_sample_renders(path: Path) -> None:
    for document in documents(path):
        if document["kind"] != names.KIND:
            continue
        kinds = [one["kind"] for one in first_objects(DialogueModel.parse(document), GATEWAY, IMAGE)]
        assert kinds[-2:] == ["HTTPRoute", "GRPCRoute"]
        assert "InferenceService" in kinds


def _pods(model: DialogueModel) -> list[dict[str, Any]]:
    serving = serving_spec(model.spec)
    plan = Plan((RevisionPlan(revision_of(serving), serving, 1),))
    found = [
        o["spec"] if o["kind"] == "ServingRuntime" else o["spec"]["predictor"] for o in immutable_objects(model, plan)
    ]
    return [one for one in found if "containers" in one]


@pytest.mark.parametrize("case", CASES)
def test_predictor_pods_pass_the_restricted_profile(case: str) -> None:
    [pod] = _pods(CASES[case])
    assert list(violations(pod)) == []


@pytest.mark.parametrize("case", CASES)
def test_pods_leave_the_endpoints_before_they_stop_and_have_time_to_drain(case: str) -> None:
    [pod] = _pods(CASES[case])
    stop = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert stop >= 5
    assert stop + 30 < names.TERMINATION_GRACE_SECONDS


def test_pods_get_no_token_and_no_environment_of_other_services() -> None:
    for case in CASES.values():
        [service] = [o for o in first_objects(case, GATEWAY, IMAGE) if o["kind"] == "InferenceService"]
        assert service["spec"]["predictor"]["automountServiceAccountToken"] is False
        assert service["spec"]["predictor"]["enableServiceLinks"] is False


def test_a_bundle_in_the_image_is_a_custom_predictor_and_one_on_a_volume_a_model() -> None:
    """KServe takes a `model` without storage for multi-model serving, and injects its agent."""
    for case, kind in (("builtin", "containers"), ("volume", "model")):
        [service] = [o for o in first_objects(CASES[case], GATEWAY, IMAGE) if o["kind"] == "InferenceService"]
        assert {"containers", "model"} & service["spec"]["predictor"].keys() == {kind}


def test_names_stay_within_63_characters() -> None:
    longest = model("a" * names.MAX_NAME_LENGTH)
    for one in first_objects(longest, GATEWAY, IMAGE):
        assert len(one["metadata"]["name"]) <= 63
    assert len(names.predictor_name(longest.name, "01234567")) <= 63
    assert max(len(part) for part in names.grpc_host(longest.name, "ns", "d").split(".")) <= 63


def test_everything_goes_with_its_dialogue_model() -> None:
    for case in CASES.values():
        for one in first_objects(case, GATEWAY, IMAGE):
            [owner] = one["metadata"]["ownerReferences"]
            assert owner["controller"] is True
            assert owner["uid"] == case.uid
            assert one["metadata"]["labels"][names.LABEL_MODEL] == case.name


def test_what_only_the_operator_reads_does_not_reach_the_predictor() -> None:
    [pod] = _pods(CASES["volume"])
    [text] = [one["value"] for one in pod["containers"][0]["env"] if one["name"] == names.ENV_SPEC]
    assert set(json.loads(text)) == {"model", "runtime", "generation", "dialogue"}
    assert json.loads(text)["runtime"] == {"precision": "bf16"}
