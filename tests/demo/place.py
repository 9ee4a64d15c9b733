"""Which cluster the demo runs on: the one that KUBECONFIG names, else the local one, which it starts."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from demo.shell import ROOT, DemoError, kubectl_json, local_cluster, read_exports, run, say

VERSION = next(
    line.split('"')[1] for line in (ROOT / "pyproject.toml").read_text().splitlines() if line.startswith("version = ")
)


@dataclass(frozen=True)
class Cluster:
    """What the chart must be told about the cluster."""

    gateway: str  # namespace/name of a Gateway
    operator_image: str
    predictor_image: str
    storage_class: str  # for the volume that the second version is published on; empty: the default one
    free_volumes: Callable[[], object] = lambda: None  # after a claim is gone, where nothing provisions volumes


def own_cluster() -> Cluster:
    """The user's cluster, by KUBECONFIG: images and gateway are named by environment variables."""
    try:
        return Cluster(
            gateway=os.environ["GATEWAY"],
            operator_image=os.environ["OPERATOR_IMAGE"],
            predictor_image=os.environ["PREDICTOR_IMAGE"],
            storage_class=os.environ.get("STORAGE_CLASS", ""),
        )
    except KeyError as missing:
        raise DemoError(
            f"KUBECONFIG is set, so the demo uses that cluster; set {missing.args[0]} too "
            "(GATEWAY=namespace/name, OPERATOR_IMAGE and PREDICTOR_IMAGE that its nodes can pull, STORAGE_CLASS), "
            "or unset KUBECONFIG for a local cluster, or use `make serve`, which needs none"
        ) from None


def local(*add_ons: str) -> Cluster:
    """Build both images, start the local cluster where it is not up, and point kubectl and helm at it."""
    if os.geteuid() != 0:
        raise DemoError(
            "the local cluster needs root for network namespaces; run as root, set KUBECONFIG, or use `make serve`"
        )
    images = {half: f"localhost/dialogue-serving/{half}:{VERSION}" for half in ("operator", "predictor")}
    say("images: operator and predictor (the first build makes the base image and downloads PyTorch)")
    local_cluster("image", images["operator"], "-f", "Dockerfile.operator", ".")
    local_cluster("image", images["predictor"], "-f", "Dockerfile.predictor", ".", "TORCH_VARIANT=cpu")
    say("cluster: the first start compiles Kubernetes, KServe and the gateway")
    local_cluster("up", *(["--with", ",".join(add_ons)] if add_ons else []))
    use_local()
    return Cluster(
        "kserve/dialogue", images["operator"], images["predictor"], "dialogue-local", lambda: local_cluster("volumes")
    )


def use_local() -> None:
    """kubectl and helm of the local cluster, for this process and its children."""
    exports = read_exports(local_cluster("env"))
    os.environ["KUBECONFIG"] = exports["KUBECONFIG"]
    os.environ["PATH"] = exports["PATH"]


def choose() -> Cluster:
    cluster = own_cluster() if os.environ.get("KUBECONFIG") else local()
    if missing := [tool for tool in ("kubectl", "helm") if not shutil.which(tool)]:
        raise DemoError(f"{' and '.join(missing)} must be on the PATH to use the cluster that KUBECONFIG names")
    return cluster


def install(cluster: Cluster, **more: str) -> None:
    """The chart, as a platform team would install it; `more` values by name, dots as double underscores."""
    namespace, name = cluster.gateway.split("/")
    values = {
        "image": cluster.operator_image,
        "predictorImage": cluster.predictor_image,
        "gateway.namespace": namespace,
        "gateway.name": name,
        "domain": "example.com",
        **{name.replace("__", "."): value for name, value in more.items()},
    }
    settings = [argument for key, value in values.items() for argument in ("--set-string", f"{key}={value}")]
    run("helm", "upgrade", "--install", "dialogue-operator", "charts/dialogue-operator", "--namespace", "dialogue-system",
        "--create-namespace", "--wait", "--timeout", "5m", *settings)  # fmt: skip


def gateway_address(gateway_name: str) -> str:
    """Of a Gateway given as namespace/name."""
    namespace, name = gateway_name.split("/")
    gateway = kubectl_json("get", "gateway", name, "-n", namespace)
    port = gateway["spec"]["listeners"][0]["port"]
    return f"{gateway['status']['addresses'][0]['value']}:{port}"
