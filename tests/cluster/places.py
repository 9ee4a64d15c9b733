"""Where things live and what they are called: folders, addresses, nodes.

The addresses are private and exist only inside the cluster's own network namespaces, but for one veth pair.
"""

import os
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dialogue-serving" / "cluster"
# Short on purpose: unix socket paths below it must stay within 107 characters.
STATE = Path(os.environ.get("DIALOGUE_CLUSTER_STATE") or "/tmp/dialogue-cluster")
LOGS, PIDS, KEYS, SCRATCH = STATE / "log", STATE / "pid", STATE / "pki", STATE / "tmp"
VOLUMES = STATE / "volumes"
FAILED_LOGS = CACHE / "failed-log"

NETNS = "dlg"  # network namespace and parent cgroup of node 0; node N has dlg-N
HOST_LINK, NODE_LINK = "dlg0", "dlg1"
HOST_IP, NODE_IP = "10.77.0.1", "10.77.0.2"
NODE_RANGE, POD_RANGE, SERVICE_RANGE, SERVICE_IP = "10.77.0.0/16", "10.78.0.0/16", "10.79.0.0/16", "10.79.0.1"
API = f"https://{NODE_IP}:6443"
GATEWAY = f"http://{NODE_IP}"
GATEWAY_NAME, GATEWAY_NAMESPACE = "dialogue", "kserve"
ADMIN_KUBECONFIG = STATE / "admin.kubeconfig"


@dataclass(frozen=True)
class Node:
    """Node 0 also carries the control plane and the gateway, and routes between the others."""

    index: int

    @property
    def name(self) -> str:
        return f"node-{self.index}"

    @property
    def netns(self) -> str:
        return f"{NETNS}-{self.index}" if self.index else NETNS

    @property
    def ip(self) -> str:
        return f"10.77.{self.index}.2"

    @property
    def pods(self) -> str:
        return f"10.78.{self.index}.0/24"

    @property
    def folder(self) -> Path:
        return STATE / f"n{self.index}"

    @property
    def socket(self) -> Path:
        return self.folder / "containerd.sock"

    def daemon(self, program: str) -> str:
        """The name under which this node's kubelet, containerd or kube-proxy is known."""
        return f"{program}-{self.index}"


def nodes() -> list[Node]:
    """The real nodes that `up` made; none in light mode."""
    return [Node(int(folder.name[1:])) for folder in sorted(STATE.glob("n[0-9]*"))]


def kubeconfig(name: str) -> Path:
    return STATE / f"{name}.kubeconfig"
