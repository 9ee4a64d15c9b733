"""What is compiled, from which module, and how long that takes.

One table, so that an update is one line here, and so that a first build can say how much is left.
"""

from dataclasses import dataclass

GO = (1, 26)  # helm, kwok and etcd ask for it in their go.mod
KUBERNETES = "v1.34.4"  # k8s/go.mod repeats it
KSERVE = "v0.20.0"
GATEWAY_API = "v1.4.0"  # the version Traefik is built against

KSERVE_MODULE = "github.com/kserve/kserve"
KWOK_MODULE = "sigs.k8s.io/kwok"
GATEWAY_API_MODULE = "sigs.k8s.io/gateway-api"

LIGHT, REAL = "light", "real"
BOTH = (LIGHT, REAL)


@dataclass(frozen=True)
class Binary:
    """A program to compile: from a wrapper module kept beside this file, or inside its own module's folder."""

    name: str
    version: str
    package: str
    seconds: int  # of a build with an empty Go build cache on two cores
    module: str = ""  # empty: the wrapper below, which pins every dependency
    wrapper: str = ""
    modes: tuple[str, ...] = BOTH


def _kubernetes(name: str, seconds: int, modes: tuple[str, ...] = BOTH) -> Binary:
    return Binary(name, KUBERNETES, f"k8s.io/kubernetes/cmd/{name}", seconds, wrapper="k8s", modes=modes)


BINARIES = (
    _kubernetes("kube-apiserver", 295),
    _kubernetes("kube-controller-manager", 95),
    _kubernetes("kube-scheduler", 7),
    _kubernetes("kubectl", 32),
    _kubernetes("kubelet", 24, (REAL,)),
    _kubernetes("kube-proxy", 9, (REAL,)),
    Binary("etcd", "v3.6.16", "go.etcd.io/etcd/server/v3", 75, wrapper="etcd"),
    Binary("kserve-manager", KSERVE, "./cmd/manager", 185, KSERVE_MODULE),
    Binary("helm", "v3.21.4", "./cmd/helm", 101, "helm.sh/helm/v3"),
    Binary("kwok", "v0.8.0", "./cmd/kwok", 134, KWOK_MODULE, modes=(LIGHT,)),
    Binary("traefik", "v3.6.12", "./cmd/traefik", 479, "github.com/traefik/traefik/v3"),
    Binary("coredns", "v1.14.7", ".", 209, "github.com/coredns/coredns", modes=(REAL,)),
)
BY_NAME = {binary.name: binary for binary in BINARIES}

# Without these the programs call themselves v0.0.0, and clients compare versions.
STAMPS = {
    "k8s.io/component-base/version.gitVersion": KUBERNETES,
    "k8s.io/component-base/version.gitMajor": "1",
    "k8s.io/component-base/version.gitMinor": KUBERNETES.split(".")[1],
    "k8s.io/client-go/pkg/version.gitVersion": KUBERNETES,
}
