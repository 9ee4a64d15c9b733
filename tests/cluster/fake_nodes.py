"""Nodes that exist only in the API: kwok says their pods are ready, and nothing runs."""

import json

from cluster import api
from cluster.build import module_folder, program
from cluster.places import ADMIN_KUBECONFIG, NODE_IP, POD_RANGE, Node
from cluster.processes import start
from cluster.versions import BY_NAME, KWOK_MODULE

# kwok has no stages built in, and exits without any
STAGES = (
    "node/fast/node-initialize",
    "node/heartbeat-with-lease/node-heartbeat-with-lease",
    "pod/fast/pod-ready",
    "pod/fast/pod-complete",
    "pod/fast/pod-delete",
)
SIZE = {"cpu": "1000", "memory": "4000Gi", "pods": "100000", "nvidia.com/gpu": "1000"}


def create(nodes: list[Node]) -> None:
    stages = module_folder(KWOK_MODULE, BY_NAME["kwok"].version) / "kustomize/stage"
    start(
        "kwok",
        program("kwok"),
        f"--kubeconfig={ADMIN_KUBECONFIG}",
        "--manage-all-nodes=true",
        f"--cidr={POD_RANGE}",
        f"--node-ip={NODE_IP}",
        "--node-lease-duration-seconds=40",
        *(f"--config={stages / stage}.yaml" for stage in STAGES),
    )
    status = {"status": {"allocatable": SIZE, "capacity": SIZE}}
    api.apply(*(_node(node.name) for node in nodes))
    for node in nodes:
        api.kubectl("patch", "node", node.name, "--subresource=status", "--type=merge", "-p", json.dumps(status))


def _node(name: str) -> api.Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
    }
