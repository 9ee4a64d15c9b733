"""The chart as helm renders it, for every profile in `ci/`."""

import json
import re
import subprocess
from functools import cache
from typing import Any

import pytest
import yaml

from dialogue_operator import __version__, names
from dialogue_operator.api.crd import crd
from dialogue_operator.cluster.preflight import NEEDED, OPTIONAL
from dialogue_operator.controller.settings import PREFIX, Settings
from support import programs
from support.restricted import violations
from support.samples import CHART, SAMPLES, documents

PROFILES = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*-values.yaml"))
KUBERNETES = "1.34.0"

Objects = list[dict[str, Any]]


def _helm(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([programs.require("helm"), *words], capture_output=True, text=True, check=False)


@cache
def _template(profile: str, *more: str) -> str:
    values = CHART / "ci" / f"{profile}-values.yaml"
    settings = [word for one in more for word in ("--set-json", one)]
    done = _helm(
        "template", "dialogue-operator", str(CHART), "--namespace", "dialogue-system", "--kube-version", KUBERNETES,
        "--values", str(values), *settings,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def rendered(profile: str, *more: str) -> Objects:
    return [one for one in yaml.safe_load_all(_template(profile, *more)) if one]


def only(objects: Objects, kind: str) -> dict[str, Any]:
    [found] = [one for one in objects if one["kind"] == kind]
    return found


@pytest.mark.parametrize("profile", PROFILES)
def test_helm_lint_finds_nothing(profile: str) -> None:
    done = _helm(
        "lint", "--strict", "--kube-version", KUBERNETES, str(CHART), "-f", str(CHART / "ci" / f"{profile}-values.yaml")
    )
    assert done.returncode == 0, done.stdout
    assert "0 chart(s) failed" in done.stdout


@pytest.mark.parametrize("profile", PROFILES)
def test_the_pods_pass_the_restricted_profile(profile: str) -> None:
    pod = only(rendered(profile), "Deployment")["spec"]["template"]["spec"]
    assert list(violations(pod)) == []
    assert pod["enableServiceLinks"] is False


@pytest.mark.parametrize("profile", PROFILES)
def test_no_right_is_a_wildcard_or_reads_secrets(profile: str) -> None:
    rules = _rules(rendered(profile))
    assert rules
    for group, resource, verb in rules:
        assert "*" not in group + resource + verb
        assert resource not in {"secrets", "pods/exec", "nodes", "clusterroles", "roles", "customresourcedefinitions"}


@pytest.mark.parametrize("profile", PROFILES)
def test_rights_are_those_that_the_operator_uses_and_no_more(profile: str) -> None:
    used = {(group, resource, verb) for group, resource, verbs in NEEDED for verb in verbs}
    used |= {(r.group, r.plural, verb) for r, verbs in OPTIONAL.items() for verb in verbs}
    used |= {("serving.dialogue.dev", "dialoguemodels/finalizers", "update")}  # to own what it makes
    used |= {("coordination.k8s.io", "leases", verb) for verb in ("get", "create", "update")}
    assert _rules(rendered(profile)) == used


def _rules(objects: Objects) -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for one in objects
        if one["kind"] in {"Role", "ClusterRole"}
        for rule in one["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_a_lease_is_the_only_thing_that_may_be_written_in_the_release_namespace() -> None:
    role = only(rendered("cluster"), "Role")
    assert role["metadata"]["namespace"] == "dialogue-system"
    assert role["rules"] == [
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
        {
            "apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
            "resourceNames": ["dialogue-operator"], "verbs": ["get", "update"],
        },
    ]  # fmt: skip


def test_with_watch_namespaces_there_is_a_role_in_each_and_none_for_the_cluster() -> None:
    objects = rendered("namespaced")
    kinds = {one["kind"] for one in objects}
    assert not kinds & {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
    roles = {one["metadata"]["namespace"] for one in objects if one["kind"] == "Role"}
    assert roles == {"assistants", "support", "dialogue-system"}


@pytest.mark.parametrize("profile", PROFILES)
def test_bindings_name_the_service_account_that_the_pods_run_under(profile: str) -> None:
    objects = rendered(profile)
    account = only(objects, "ServiceAccount")["metadata"]
    assert only(objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == account["name"]
    bindings = [one for one in objects if one["kind"].endswith("Binding")]
    assert bindings
    for binding in bindings:
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": account["name"], "namespace": "dialogue-system"}
        ]
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in {
            (one["kind"], one["metadata"]["name"]) for one in objects
        }


@pytest.mark.parametrize("profile", PROFILES)
def test_the_operator_reads_the_settings_that_the_pods_get(profile: str) -> None:
    values = yaml.safe_load((CHART / "ci" / f"{profile}-values.yaml").read_text())
    [container] = only(rendered(profile), "Deployment")["spec"]["template"]["spec"]["containers"]
    env = {one["name"]: one["value"] for one in container["env"]}
    assert all(name.startswith(PREFIX) for name in env)
    settings = Settings.from_environ(env)
    assert (settings.gateway.name, settings.gateway.namespace) == ("dialogue", "kserve")
    assert settings.gateway.domain == "models.example.com"
    assert settings.predictor_image == f"dialogue-serving/predictor:{__version__}"
    assert settings.watch_namespaces == tuple(values.get("watchNamespaces", ()))
    assert (settings.lease_namespace, settings.lease_name) == ("dialogue-system", "dialogue-operator")
    assert [port["containerPort"] for port in container["ports"]] == [settings.health_port]
    prometheus = values.get("prometheus", {})
    assert settings.prometheus_url == prometheus.get("url", "")
    assert (settings.prometheus_token_file is not None) == ("tokenSecretName" in prometheus)


def test_the_token_for_prometheus_lies_where_the_operator_looks() -> None:
    pod = only(rendered("namespaced"), "Deployment")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    env = {one["name"]: one["value"] for one in container["env"]}
    [mount] = [one for one in container["volumeMounts"] if one["name"] == "prometheus"]
    [volume] = [one for one in pod["volumes"] if one["name"] == "prometheus"]
    [item] = volume["secret"]["items"]
    assert env[f"{PREFIX}PROMETHEUS_TOKEN_FILE"] == f"{mount['mountPath']}/{item['path']}"
    assert volume["secret"]["secretName"] == "prometheus-token"


@pytest.mark.parametrize(
    ("url", "port"),
    [("http://p.m:9090", 9090), ("http://p.m", 80), ("https://p.m/prefix", 443), ("http://10.0.0.1:81/a:2", 81)],
)
def test_the_network_policy_lets_the_operator_reach_predictors_and_prometheus(url: str, port: int) -> None:
    objects = rendered("cluster", 'networkPolicy={"enabled": true}', f'prometheus={{"url": "{url}"}}')
    _, predictors, prometheus = only(objects, "NetworkPolicy")["spec"]["egress"]
    [to] = predictors["to"]
    assert to["podSelector"]["matchExpressions"] == [{"key": names.LABEL_MODEL, "operator": "Exists"}]
    assert predictors["ports"] == [{"port": names.HTTP_PORT, "protocol": "TCP"}]
    assert prometheus["ports"] == [{"port": port, "protocol": "TCP"}]


def test_without_prometheus_the_network_policy_opens_nothing_for_it() -> None:
    policy = only(rendered("cluster", 'networkPolicy={"enabled": true}'), "NetworkPolicy")
    assert len(policy["spec"]["egress"]) == 2


def test_probes_ask_what_the_operator_answers() -> None:
    [container] = only(rendered("cluster"), "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert container["startupProbe"]["httpGet"]["path"] == "/livez"


def test_one_stands_by_while_the_other_leads_or_moves() -> None:
    objects = rendered("cluster")
    deployment = only(objects, "Deployment")
    assert deployment["spec"]["replicas"] == 2
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    budget = only(objects, "PodDisruptionBudget")["spec"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert budget["maxUnavailable"] == 1
    for selector in (budget["selector"], deployment["spec"]["selector"]):
        assert selector["matchLabels"].items() <= labels.items()
    for constraint in deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]:
        assert constraint["labelSelector"]["matchLabels"].items() <= labels.items()
    assert only(objects, "Service")["spec"]["selector"].items() <= labels.items()


def test_a_single_replica_has_no_disruption_budget_that_would_block_a_drain() -> None:
    assert not [one for one in rendered("namespaced") if one["kind"] == "PodDisruptionBudget"]


def test_the_crd_in_the_chart_is_the_printed_one_and_outlives_the_release() -> None:
    found = only(rendered("cluster"), "CustomResourceDefinition")
    assert found["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert found["spec"] == crd()["spec"]
    assert found["metadata"]["name"] == crd()["metadata"]["name"]


def test_the_release_can_have_any_name() -> None:
    done = _helm(
        "template", "edge", str(CHART), "--kube-version", KUBERNETES, "-f", str(CHART / "ci" / "cluster-values.yaml")
    )
    found = {one["metadata"]["name"] for one in yaml.safe_load_all(done.stdout) if one}
    assert "edge-dialogue-operator" in found


WRONG = {
    "domain": '""',
    "/gateway/name": '{"name": "", "namespace": "a"}',
    "/gateway/namespace": '{"name": "a", "namespace": "B"}',
    "'clas'": '{"clas": "x", "name": "a", "namespace": "b"}',
    "/image": '"dialogue-serving/operator"',
    "/predictorImage": '""',
    "/replicas": "0",
    "/watchNamespaces/0": '["A"]',
    "/watchNamespaces": '"assistants"',
    "/resources": '{"gpu": 1}',
    "/resources/requests": '{"requests": {"gpus": 1}}',
    "/crds": '{"instal": true}',
    "/crds/install": '{"install": "yes"}',
    "/imagePullPolicy": '"Sometimes"',
    "/imagePullSecrets/0": '["registry"]',
    "/networkPolicy/enabled": '{"enabled": 1}',
    "/prometheus/url": '{"url": "prometheus:9090"}',
    "'adress'": '{"adress": "http://p"}',
    "'replicaCount'": "2",
}


@pytest.mark.parametrize("field", WRONG)
def test_a_wrong_value_is_refused_and_named(field: str) -> None:
    value = WRONG[field]
    inside = {"'clas'": "gateway", "'adress'": "prometheus"}
    top = inside.get(field) or re.sub(r"[^A-Za-z].*", "", field.strip("'/"))
    values = CHART / "ci" / "cluster-values.yaml"
    done = _helm(
        "template", "x", str(CHART), "--kube-version", KUBERNETES, "-f", str(values), "--set-json", f"{top}={value}"
    )
    assert done.returncode != 0
    assert field in done.stderr
    assert "schema" in done.stderr


def test_what_must_be_said_is_asked_for_by_name() -> None:
    done = _helm("template", "x", str(CHART), "--kube-version", KUBERNETES)
    assert done.returncode != 0
    for field in ("/domain", "/gateway/name", "/gateway/namespace"):
        assert field in done.stderr


def test_every_value_is_in_the_schema_and_explained() -> None:
    text = (CHART / "values.yaml").read_text()
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert yaml.safe_load(text).keys() == schema["properties"].keys() - {"global"}
    for node in _objects(schema):
        assert node.get("additionalProperties") is not None or "properties" not in node


def _objects(node: Any) -> Objects:
    if isinstance(node, list):
        return [one for inner in node for one in _objects(inner)]
    if not isinstance(node, dict):
        return []
    inner = [one for value in node.values() for one in _objects(value)]
    return [node, *inner] if node.get("type") == "object" else inner


def test_versions_are_those_of_the_package() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert values["image"].endswith(f":{__version__}")


def test_the_publishing_job_passes_the_restricted_profile() -> None:
    job = only(documents(SAMPLES / "publish.yaml"), "Job")
    assert list(violations(job["spec"]["template"]["spec"])) == []


@pytest.mark.parametrize("sample", ["upgrade", "bad-upgrade"])
def test_the_job_publishes_what_the_upgrades_serve(sample: str) -> None:
    claim, job = documents(SAMPLES / "publish.yaml")
    [upgrade] = documents(SAMPLES / f"{sample}.yaml")
    model = upgrade["spec"]["model"]
    containers = job["spec"]["template"]["spec"]["containers"]
    published = [one["args"][3].removeprefix("/mnt/models") for one in containers]
    assert model["uri"].removeprefix(f"pvc://{claim['metadata']['name']}") in published
    assert model["uri"].endswith(f"/{model['version']}")
