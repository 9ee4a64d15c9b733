"""What is compiled, from which module, and how long that takes.

One table, so that an update is one line here, and so that a first build can say how much is left.
"""

from dataclasses import dataclass

GO = (1, 26)  # helm, kwok and etcd ask for it in their go.mod
KUBERNETES = "v1.34.4"  # k8s/go.mod repeats it
KSERVE = "v0.20.0"
GATEWAY_API = "v1.4.0"  # the version Traefik is built against

KEDA, HTTP_ADD_ON = "v2.18.3", "v0.12.0"

KSERVE_MODULE = "github.com/kserve/kserve"
KWOK_MODULE = "sigs.k8s.io/kwok"
GATEWAY_API_MODULE = "sigs.k8s.io/gateway-api"
METRICS_SERVER_MODULE = "sigs.k8s.io/metrics-server"
KEDA_MODULE = "github.com/kedacore/keda/v2"
HTTP_ADD_ON_MODULE = "github.com/kedacore/http-add-on"

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
    tags: str = ""
    overlay: str = ""  # a folder beside this file whose files replace those of the same name in a copy of the module
    entrypoint: str = ""  # where its project's image has it: it runs as a pod, from an image of this one file


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
    Binary("versitygw", "v1.8.0", "./cmd/versitygw", 85, "github.com/versity/versitygw"),  # an S3 store over a folder
)


def _http_add_on(part: str, seconds: int) -> Binary:
    return Binary(f"http-add-on-{part}", HTTP_ADD_ON, f"./{part}", seconds, HTTP_ADD_ON_MODULE, entrypoint="/sbin/init")


# Compiled only when `up --with` asks for them.
ADD_ONS = {
    "metrics-server": (
        Binary(
            "metrics-server", "v0.9.0", "./cmd/metrics-server", 360, METRICS_SERVER_MODULE, entrypoint="/metrics-server"
        ),
    ),
    # of the ways to find its targets Prometheus gets Kubernetes' own alone; v0.313.0 is what calls itself 3.13.0
    "prometheus": (
        Binary(
            "prometheus",
            "v0.313.0",
            "./cmd/prometheus",
            270,
            "github.com/prometheus/prometheus",
            tags="remove_all_sd,enable_kubernetes_sd",
        ),
    ),
    "keda": (
        Binary("keda", KEDA, "./cmd/operator", 230, KEDA_MODULE, overlay="keda", entrypoint="/keda"),
        Binary(
            "keda-metrics-apiserver",
            KEDA,
            "./cmd/adapter",
            110,
            KEDA_MODULE,
            overlay="keda",
            entrypoint="/keda-adapter",
        ),
        _http_add_on("operator", 190),
        _http_add_on("scaler", 6),
        _http_add_on("interceptor", 13),
    ),
}
BY_NAME = {binary.name: binary for binary in (*BINARIES, *(one for parts in ADD_ONS.values() for one in parts))}

# Without these the programs call themselves v0.0.0, and clients compare versions.
STAMPS = {
    "k8s.io/component-base/version.gitVersion": KUBERNETES,
    "k8s.io/component-base/version.gitMajor": "1",
    "k8s.io/component-base/version.gitMinor": KUBERNETES.split(".")[1],
    "k8s.io/client-go/pkg/version.gitVersion": KUBERNETES,
}
