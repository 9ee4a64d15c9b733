"""etcd, the API server, the controller manager and the scheduler: plain processes beside node 0, not pods."""

from cluster import api
from cluster.build import program
from cluster.places import KEYS, NODE_IP, POD_RANGE, SERVICE_RANGE, STATE, kubeconfig
from cluster.processes import start, wait_for

ETCD = "http://127.0.0.1:2379"
# The defaults of 20 to 50 requests a second make a thousand objects slow.
CLIENT_RATE = ("--kube-api-qps=300", "--kube-api-burst=600")


def create(node_grace: int) -> None:
    """`node_grace`: seconds of silence after which a node counts as lost."""
    start(
        "etcd",
        program("etcd"),
        f"--data-dir={STATE / 'etcd'}",
        "--unsafe-no-fsync",
        "--log-level=warn",
        f"--listen-client-urls={ETCD}",
        f"--advertise-client-urls={ETCD}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--quota-backend-bytes=4294967296",
    )
    start("apiserver", program("kube-apiserver"), *_apiserver())
    wait_for("apiserver", api.is_ready)
    start(
        "controller-manager",
        program("kube-controller-manager"),
        *_client("controller-manager"),
        *CLIENT_RATE,
        "--leader-elect=false",
        f"--service-account-private-key-file={KEYS}/sa.key",
        f"--root-ca-file={KEYS}/ca.crt",
        "--use-service-account-credentials=true",
        f"--cluster-cidr={POD_RANGE}",
        "--bind-address=127.0.0.1",
        "--pvclaimbinder-sync-period=1s",  # by default a claim waits up to 15 s for its volume
        f"--node-monitor-grace-period={node_grace}s",
    )
    start(
        "scheduler",
        program("kube-scheduler"),
        *_client("scheduler"),
        *CLIENT_RATE,
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
    )


def _apiserver() -> tuple[str, ...]:
    return (
        f"--etcd-servers={ETCD}",
        f"--advertise-address={NODE_IP}",
        f"--bind-address={NODE_IP}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--allow-privileged=true",
        f"--client-ca-file={KEYS}/ca.crt",
        f"--tls-cert-file={KEYS}/apiserver.crt",
        f"--tls-private-key-file={KEYS}/apiserver.key",
        f"--kubelet-client-certificate={KEYS}/admin.crt",
        f"--kubelet-client-key={KEYS}/admin.key",
        "--kubelet-preferred-address-types=InternalIP",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={KEYS}/sa.crt",
        f"--service-account-signing-key-file={KEYS}/sa.key",
        # the aggregation layer: an API server behind this one (metrics, autoscaling) can be added later
        f"--requestheader-client-ca-file={KEYS}/ca.crt",
        "--requestheader-allowed-names=front-proxy",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={KEYS}/front-proxy.crt",
        f"--proxy-client-key-file={KEYS}/front-proxy.key",
        "--enable-aggregator-routing=true",
    )


def _client(name: str) -> list[str]:
    return [f"--{purpose}kubeconfig={kubeconfig(name)}" for purpose in ("", "authentication-", "authorization-")]
