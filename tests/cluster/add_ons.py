"""What `up --with` adds for autoscaling: metrics-server, Prometheus, KEDA with its HTTP add-on.

All but Prometheus are pods made from their projects' own kustomizations, with images of one compiled file each.
Prometheus is a process beside the node, and scrapes the pods that ask for it.
"""

import json
import re
from collections.abc import Callable, Collection, Sequence

from cluster import api
from cluster.build import build, module_folder, program
from cluster.console import ClusterError
from cluster.oci import buildah, from_buildah, images, save
from cluster.places import ADMIN_KUBECONFIG, NODE_IP, STATE
from cluster.processes import answers, start, wait_for
from cluster.versions import ADD_ONS, BY_NAME, HTTP_ADD_ON, HTTP_ADD_ON_MODULE, KEDA, KEDA_MODULE, METRICS_SERVER_MODULE

PROMETHEUS_PORT = 9090
PROMETHEUS = f"http://{NODE_IP}:{PROMETHEUS_PORT}"
NOBODY = "65532:65532"  # numeric, as runAsNonRoot wants it
Change = tuple[str, str]  # of a manifest's text: a regular expression and what takes its place

# The manifests are made for clusters with a registry and hours to spare.
EVERYWHERE: tuple[Change, ...] = (
    ("imagePullPolicy: Always", "imagePullPolicy: IfNotPresent"),
    (r"\breplicas: 3\b", "replicas: 1"),
    (r"initialDelaySeconds: \d+", "initialDelaySeconds: 1"),
    ("cpu: 100m", "cpu: 20m"),
)


def check(names: Collection[str]) -> None:
    if unknown := set(names) - set(ADD_ONS):
        raise ClusterError(f"no add-on called {', '.join(sorted(unknown))}; there is: {', '.join(ADD_ONS)}")


def prepare(names: Collection[str]) -> None:
    """Compile what is missing, and put what runs in pods into images."""
    binaries = [one for name in names for one in ADD_ONS[name]]
    if binaries:
        build([one.name for one in binaries])
    for one in binaries:
        if one.entrypoint and (tag := _tag(one.name)) not in images():
            container = buildah("from", "scratch").strip()
            buildah("copy", container, program(one.name), one.entrypoint)
            buildah("config", "--entrypoint", json.dumps([one.entrypoint]), "--user", NOBODY, container)
            buildah("commit", "--rm", container, tag)
            save(tag, from_buildah(tag))


def create(names: Collection[str]) -> None:
    for name, start_it in STARTS.items():
        if name in names:
            start_it()


def _tag(name: str) -> str:
    return f"localhost/dialogue-serving/{name}:{BY_NAME[name].version}"


def _metrics_server() -> None:
    manifests = _kustomized(METRICS_SERVER_MODULE, BY_NAME["metrics-server"].version, "manifests/base")
    patience = "- --metric-resolution=10s\n        - --kubelet-request-timeout=5s\n        - --kubelet-insecure-tls"
    _apply(manifests, [("- --metric-resolution=15s", patience)])
    _wait_for("kube-system", "v1beta1.metrics.k8s.io")


def _keda() -> None:
    """KEDA makes its own certificates; its admission webhooks are left out."""
    certificates = "- --enable-cert-rotation=true"
    _apply(
        _kustomized(KEDA_MODULE, KEDA, "config/default"),
        [(certificates, f"{certificates}\n        - --enable-webhook-patching=false")],
        left_out="  name: keda-admission",
    )
    _wait_for("keda", "v1beta1.external.metrics.k8s.io")
    # its interceptor's own ScaledObject would need a third of the node
    _apply(_kustomized(HTTP_ADD_ON_MODULE, HTTP_ADD_ON, "config/default"), left_out="kind: ScaledObject")
    _wait_for("keda")


def _kustomized(module: str, version: str, folder: str) -> str:
    return api.kubectl("kustomize", str(module_folder(module, version) / folder))


def _apply(manifests: str, changes: Sequence[Change] = (), left_out: str = "") -> None:
    for pattern, instead in (*changes, *EVERYWHERE):
        manifests = re.sub(pattern, instead, manifests)
    manifests = re.sub(r"(?<= image: )\S+/([\w-]+)(:\S+)?$", _our_image, manifests, flags=re.M)
    parts = manifests.split("\n---\n")
    api.apply(*(one for one in parts if not left_out or not re.search(f"^{left_out}", one, re.M)))


def _our_image(theirs: re.Match[str]) -> str:
    return _tag(theirs[1]) if theirs[1] in BY_NAME else theirs[0]


def _wait_for(namespace: str, *apis: str) -> None:
    wait_for(
        f"pods in {namespace}", lambda: api.ask("-n", namespace, "rollout", "status", "deployment", "--timeout=5s")
    )
    if apis:
        services = [f"apiservice/{name}" for name in apis]
        wait_for(", ".join(apis), lambda: api.holds("Available", *services))


def _prometheus() -> None:
    """Answers at PROMETHEUS, to pods, too; scrapes whoever carries the annotations prometheus.io/scrape and port."""
    config = STATE / "prometheus.json"
    config.write_text(json.dumps(_scraping()))
    start(
        "prometheus",
        program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={STATE / 'prometheus'}",
        f"--web.listen-address={NODE_IP}:{PROMETHEUS_PORT}",
        "--log.level=warn",
    )
    wait_for("prometheus", lambda: answers(PROMETHEUS_PORT, "/-/ready"))


def _scraping() -> object:
    pod = "__meta_kubernetes_pod_"
    annotation = f"{pod}annotation_prometheus_io_"
    relabel = [
        {"source_labels": [f"{annotation}scrape"], "regex": "true", "action": "keep"},
        {"source_labels": [f"{pod}phase"], "regex": "Running", "action": "keep"},
        # one target for each port: the one that is named
        {"source_labels": [f"{pod}ip", f"{annotation}port"], "separator": ":", "target_label": "__address__"},
        {"source_labels": [f"{annotation}path"], "regex": "(.+)", "target_label": "__metrics_path__"},
        {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
        {"source_labels": [f"{pod}name"], "target_label": "pod"},
    ]
    discovery = [{"role": "pod", "kubeconfig_file": str(ADMIN_KUBECONFIG)}]
    job = {"job_name": "pods", "kubernetes_sd_configs": discovery, "relabel_configs": relabel}
    return {"global": {"scrape_interval": "2s", "evaluation_interval": "2s"}, "scrape_configs": [job]}


STARTS: dict[str, Callable[[], None]] = {
    "metrics-server": _metrics_server,
    "prometheus": _prometheus,
    "keda": _keda,
}
