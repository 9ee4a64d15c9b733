"""The chart on a real kube-apiserver: installed, upgraded, uninstalled; its rights and its pods as the server judges them."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import yaml

from dialogue_operator.api.crd import crd as printed
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.cluster.preflight import NEEDED
from dialogue_operator.render.container import container, pod_fields
from dialogue_operator.rollout.plan import RevisionPlan
from dialogue_operator.rollout.revision import revision_of, serving_spec
from support import programs
from support.apiserver import ApiServer, CommandFailed
from support.objects import manifest, model
from support.samples import CHART, SAMPLES, documents

pytestmark = pytest.mark.cluster
NAMESPACE = "dialogue-system"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:dialogue-operator"


@pytest.fixture(scope="module")
def api(api_server: ApiServer) -> ApiServer:
    enforce = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespaces = [{"metadata": {"name": name, "labels": enforce}} for name in (NAMESPACE, "tenant")]
    api_server.apply(*({"apiVersion": "v1", "kind": "Namespace", **one} for one in namespaces))
    return api_server


@pytest.fixture
def release(api: ApiServer) -> Iterator[ApiServer]:
    _helm(api, "install", "--take-ownership")
    yield api
    _uninstall(api)


def _helm(api: ApiServer, verb: str, *words: str) -> str:
    command = [
        str(programs.require("helm")), verb, "dialogue-operator", str(CHART), "--namespace", NAMESPACE,
        "--values", str(CHART / "ci" / "cluster-values.yaml"), "--kubeconfig", str(api.kubeconfig), *words,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _uninstall(api: ApiServer) -> None:
    command = [str(programs.require("helm")), "uninstall", "dialogue-operator", "--namespace", NAMESPACE]
    subprocess.run(
        [*command, "--ignore-not-found", "--kubeconfig", str(api.kubeconfig)], check=True, capture_output=True
    )


def _denied(
    api: ApiServer, asked: Sequence[tuple[str, str, str]], namespace: str = "tenant"
) -> set[tuple[str, str, str]]:
    """Which of (verb, group, resource) the operator's ServiceAccount may not do, as the authorizer says."""
    reviews = []
    for verb, group, resource in asked:
        plain, _, sub = resource.partition("/")
        what = {"namespace": namespace, "verb": verb, "group": group, "resource": plain, "subresource": sub}
        spec = {"user": ACCOUNT, "groups": ["system:authenticated"], "resourceAttributes": what}
        reviews.append({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec})
    said = api.kubectl(
        "create", "-f", "-", "-o", "jsonpath={.status.allowed}{' '}", stdin="\n---\n".join(map(json.dumps, reviews))
    )
    return {one for one, allowed in zip(asked, said.split(), strict=True) if allowed != "true"}


def test_installing_says_what_to_type_next(api: ApiServer) -> None:
    said = _helm(api, "install", "--take-ownership")
    _uninstall(api)
    assert "kubectl wait dm/quickstart --for=condition=Ready" in said
    assert "NAME.NAMESPACE.models.example.com" in said


def test_the_service_account_may_do_what_the_preflight_asks_for(release: ApiServer) -> None:
    asked = [(verb, group, resource) for group, resource, verbs in NEEDED for verb in verbs]
    assert _denied(release, asked) == set()
    assert _denied(release, [("create", "coordination.k8s.io", "leases")], NAMESPACE) == set()


FORBIDDEN = [
    ("get", "", "secrets"), ("list", "", "secrets"), ("create", "", "pods"), ("create", "", "pods/exec"),
    ("delete", "", "pods"), ("get", "", "nodes"), ("patch", "serving.dialogue.dev", "dialoguemodels"),
    ("delete", "serving.dialogue.dev", "dialoguemodels"), ("delete", "gateway.networking.k8s.io", "httproutes"),
    ("patch", "apps", "deployments"), ("create", "rbac.authorization.k8s.io", "clusterroles"),
    ("create", "coordination.k8s.io", "leases"),
]  # fmt: skip


def test_the_service_account_may_do_nothing_else_that_matters(release: ApiServer) -> None:
    assert _denied(release, FORBIDDEN) == set(FORBIDDEN)


def test_uninstalling_leaves_the_crd_and_the_models(release: ApiServer) -> None:
    release.kubectl("wait", "--for=condition=Established", "crd/dialoguemodels.serving.dialogue.dev", "--timeout=30s")
    release.apply(manifest("survivor", "tenant"))
    _uninstall(release)
    assert "survivor" in release.kubectl("get", "dm", "-n", "tenant")
    release.kubectl("delete", "dm", "survivor", "-n", "tenant")


def test_an_upgrade_brings_the_crd_up_to_date(release: ApiServer) -> None:
    crd = "crd/dialoguemodels.serving.dialogue.dev"
    path = "/spec/versions/0/additionalPrinterColumns"
    release.kubectl("patch", crd, "--type=json", "-p", json.dumps([{"op": "remove", "path": path}]))
    assert (
        json.loads(release.kubectl("get", crd, "-o", "json"))["spec"]["versions"][0].get("additionalPrinterColumns")
        is None
    )
    _helm(release, "upgrade", "--set", "replicas=1")
    found = json.loads(release.kubectl("get", crd, "-o", "json"))["spec"]["versions"][0]
    assert found["additionalPrinterColumns"] == printed()["spec"]["versions"][0]["additionalPrinterColumns"]


def _pods() -> dict[str, dict[str, Any]]:
    values = str(CHART / "ci" / "namespaced-values.yaml")
    helm = [str(programs.require("helm")), "template", "x", str(CHART), "--kube-version", "1.34.0", "-f", values]
    chart = yaml.safe_load_all(subprocess.run(helm, capture_output=True, text=True, check=True).stdout)
    [operator] = [one["spec"]["template"]["spec"] for one in chart if one and one["kind"] == "Deployment"]
    [job] = [one["spec"]["template"]["spec"] for one in documents(SAMPLES / "publish.yaml") if one["kind"] == "Job"]
    containers = [{**one, "image": "example.com/predictor:1"} for one in job["containers"]]
    return {
        "operator": operator,
        "predictor": _predictor(model(spec__runtime__image="example.com/predictor:1")),
        "publisher": {**job, "containers": containers},
    }


def _predictor(wanted: DialogueModel) -> dict[str, Any]:
    serving = serving_spec(wanted.spec)
    return {"containers": [container(wanted, RevisionPlan(revision_of(serving), serving, 1))], **pod_fields()}


@pytest.mark.parametrize("name", ["operator", "predictor", "publisher"])
def test_the_server_admits_the_pod_under_the_restricted_standard(api: ApiServer, name: str) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "tenant"}, "spec": _pods()[name]}
    assert "created" in api.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))


def test_the_server_would_refuse_a_pod_that_breaks_the_standard(api: ApiServer) -> None:
    spec = _pods()["predictor"]
    spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad", "namespace": "tenant"}, "spec": spec}
    with pytest.raises(CommandFailed, match="PodSecurity"):
        api.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
