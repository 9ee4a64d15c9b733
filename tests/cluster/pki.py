"""Keys and certificates of one cluster: made at `up`, gone at `down`."""

import base64
import json

from cluster.places import API, KEYS, NODE_IP, SERVICE_IP, Node, kubeconfig
from cluster.shell import run

# The very user its ServiceAccount would be, so that the chart's RBAC is what the manager runs under.
MANAGER = "system:serviceaccount:kserve:kserve-controller-manager"
API_NAMES = (
    f"IP:{NODE_IP}",
    "IP:127.0.0.1",
    f"IP:{SERVICE_IP}",
    "DNS:localhost",
    "DNS:kubernetes",
    "DNS:kubernetes.default",
    "DNS:kubernetes.default.svc",
    "DNS:kubernetes.default.svc.cluster.local",
)


def create(nodes: list[Node]) -> None:
    _certificate("ca", "/CN=dialogue-ca", signed=False)
    _certificate("front-proxy", "/CN=front-proxy")  # the aggregation layer
    _certificate("apiserver", "/CN=kube-apiserver", API_NAMES)
    _certificate("sa", "/CN=service-accounts")
    _certificate("webhook", "/CN=kserve-webhook", ("IP:127.0.0.1", "DNS:kserve-webhook-server-service.kserve.svc"))
    _client("admin", "/O=system:masters/CN=dialogue-admin")
    _client("controller-manager", "/CN=system:kube-controller-manager")
    _client("scheduler", "/CN=system:kube-scheduler")
    _client("proxy", "/CN=system:kube-proxy")
    _client("kserve", f"/O=system:serviceaccounts/CN={MANAGER}")
    for node in nodes:
        _client(node.daemon("kubelet"), f"/O=system:nodes/CN=system:node:{node.name}")


def encoded(file: str) -> str:
    return base64.b64encode((KEYS / file).read_bytes()).decode()


def _certificate(name: str, subject: str, names: tuple[str, ...] = (), signed: bool = True) -> None:
    command: list[str] = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "365",
        "-keyout",
        f"{KEYS}/{name}.key",
        "-out",
        f"{KEYS}/{name}.crt",
        "-subj",
        subject,
    ]
    if signed:
        command += ["-CA", f"{KEYS}/ca.crt", "-CAkey", f"{KEYS}/ca.key", "-addext", "basicConstraints=CA:FALSE"]
        command += ["-addext", "extendedKeyUsage=serverAuth,clientAuth"]
    if names:
        command += ["-addext", "subjectAltName=" + ",".join(names)]
    run(*command)


def _client(name: str, subject: str) -> None:
    """A client certificate, and the kubeconfig that carries it."""
    _certificate(name, subject)
    cluster = {"server": API, "certificate-authority-data": encoded("ca.crt")}
    user = {"client-certificate-data": encoded(f"{name}.crt"), "client-key-data": encoded(f"{name}.key")}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "dialogue",
        "clusters": [{"name": "dialogue", "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": "dialogue", "context": {"cluster": "dialogue", "user": name}}],
    }
    kubeconfig(name).touch(mode=0o600)
    kubeconfig(name).write_text(json.dumps(config, indent=1))
