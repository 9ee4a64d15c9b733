"""KServe: its own CRDs, chart and webhooks; the manager is a process beside the API server.

Left out of the chart: what needs cert-manager (we sign the webhook's certificate ourselves) or an image from a
registry. InferenceServices get small default requests, since the chart's 1 CPU and 2 GiB a predictor would not fit two
revisions on a laptop, and no ingress of KServe's own: who may send traffic where is our route's affair alone.
"""

import re
import shutil

from cluster import api, pki
from cluster.build import module_folder, program
from cluster.places import KEYS, NODE_IP, SCRATCH, kubeconfig
from cluster.processes import answers, start, wait_for
from cluster.shell import run
from cluster.versions import GATEWAY_API, GATEWAY_API_MODULE, KSERVE, KSERVE_MODULE

NAMESPACE = "kserve"
HEALTH_PORT = 8081
VALUES = {
    "controller.deploymentMode": "Standard",
    "controller.gateway.disableIngressCreation": "true",
    "controller.gateway.disableIstioVirtualHost": "true",
    "inferenceservice.resources.requests.cpu": "50m",
    "inferenceservice.resources.requests.memory": "64Mi",
}
NOT_HERE = ("", "Deployment", "Certificate", "Issuer")
AFTER_THE_MANAGER = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "ClusterStorageContainer")


def create_crds() -> None:
    """KServe's and the Gateway API's; bound by the API server's CPU, so other things may come up meanwhile."""
    standard = module_folder(GATEWAY_API_MODULE, GATEWAY_API) / "config/crd/standard"
    gateway = [file.read_text() for file in sorted(standard.glob("*.yaml")) if "_vap_" not in file.name]
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    api.apply(namespace, *gateway, _chart("kserve-crd"))
    wait_for("CRDs", lambda: api.holds("Established", "crd", "--all"))


def create() -> None:
    values = [f"--set-string=kserve.{name}={value}" for name, value in VALUES.items()]
    manifests = {text: _kind(text) for text in _chart("kserve-resources", *values).split("\n---\n")}
    early = [text for text, kind in manifests.items() if kind not in (*NOT_HERE, *AFTER_THE_MANAGER)]
    late = [text for text, kind in manifests.items() if kind in AFTER_THE_MANAGER]
    api.apply(*early, namespace=NAMESPACE)  # the manager exits without its ConfigMap
    _start_manager()
    api.apply(*(_point_to_manager(text) for text in late))


def _start_manager() -> None:
    # the manager has no flag for this folder: controller-runtime looks below $TMPDIR
    certificates = SCRATCH / "k8s-webhook-server/serving-certs"
    certificates.mkdir(parents=True)
    shutil.copy(KEYS / "webhook.crt", certificates / "tls.crt")
    shutil.copy(KEYS / "webhook.key", certificates / "tls.key")
    start(
        "kserve-manager",
        program("kserve-manager"),
        f"--kubeconfig={kubeconfig('kserve')}",
        "--metrics-addr=127.0.0.1:8080",
        f"--health-probe-addr={NODE_IP}:{HEALTH_PORT}",
        env={"POD_NAMESPACE": NAMESPACE, "TMPDIR": str(SCRATCH)},
    )
    wait_for("kserve-manager", lambda: answers(HEALTH_PORT, "/readyz"))


def _point_to_manager(webhooks: str) -> str:
    """The chart's webhooks call a Service; here the manager listens beside the API server."""
    return re.sub(
        r"^( +)service:\n +name: kserve-webhook-server-service\n +namespace: kserve\n +path: (\S+)",
        rf"\1url: https://127.0.0.1:9443\2\n\1caBundle: {pki.encoded('ca.crt')}",
        webhooks,
        flags=re.M,
    )


def _chart(name: str, *flags: str) -> str:
    charts = module_folder(KSERVE_MODULE, KSERVE) / "charts"
    return run(program("helm"), "template", name, charts / name, "-n", NAMESPACE, *flags)


def _kind(text: str) -> str:
    found = re.search(r"^kind: (\w+)", text, re.M)
    return found[1] if found else ""
