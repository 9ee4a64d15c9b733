"""Network namespaces: one a node, routed through node 0, and one veth pair to the machine.

There is no default route: nothing leaves, and nothing but the API and the gateway is reachable from outside.
"""

import os
from pathlib import Path

from cluster.places import (
    HOST_IP,
    HOST_LINK,
    NETNS,
    NODE_IP,
    NODE_LINK,
    NODE_RANGE,
    POD_RANGE,
    SERVICE_RANGE,
    Node,
)
from cluster.shell import attempt, run

NETNS_FOLDER = Path("/run/netns")  # `ip netns add` makes it and mounts it on itself


def create(nodes: list[Node]) -> None:
    run("ip", "netns", "add", NETNS)
    run("ip", "link", "add", HOST_LINK, "type", "veth", "peer", "name", NODE_LINK, "netns", NETNS)
    run("ip", "addr", "add", f"{HOST_IP}/30", "dev", HOST_LINK)
    run("ip", "link", "set", HOST_LINK, "up")
    inside(
        NETNS,
        f"addr add {NODE_IP}/30 dev {NODE_LINK}",
        f"link set {NODE_LINK} up",
        "link set lo up",
        # kube-proxy rewrites Service addresses, but only after a route to them was found
        f"route add {SERVICE_RANGE} dev {NODE_LINK} src {NODE_IP}",
    )
    for node in nodes[1:]:
        _attach(node)
    for node in nodes:
        run("nsenter", f"--net=/run/netns/{node.netns}", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")


def _attach(node: Node) -> None:
    """A veth pair from node 0, 10.77.N.1, to this node, 10.77.N.2; everything goes through it."""
    link, router = f"to{node.index}", f"10.77.{node.index}.1"
    run("ip", "netns", "add", node.netns)
    inside(NETNS, f"link add {link} type veth peer name {NODE_LINK} netns {node.netns}")
    inside(NETNS, f"addr add {router}/30 dev {link}", f"link set {link} up")
    inside(node.netns, f"addr add {node.ip}/30 dev {NODE_LINK}", f"link set {NODE_LINK} up", "link set lo up")
    inside(NETNS, f"route add {node.pods} via {node.ip}")
    inside(node.netns, *(f"route add {to} via {router}" for to in (NODE_RANGE, POD_RANGE, SERVICE_RANGE)))


def inside(netns: str, *lines: str) -> None:
    for line in lines:
        run("ip", "-n", netns, *line.split())


def swallow(node: Node) -> None:
    """Packets to this node vanish without an answer, as for a machine that lost power: nobody there answers ARP."""
    link = f"lost{node.index}"
    inside(
        NETNS,
        f"link add {link} type veth peer name {link}x",
        f"link set {link}x up",
        f"link set {link} arp off up",
        f"route replace {node.pods} dev {link}",
        f"route add {node.ip}/32 dev {link}",
    )


def remove(netns: str) -> None:
    """A namespace takes its veth pairs with it."""
    attempt("ip", "netns", "del", netns)


def remove_all() -> None:
    attempt("ip", "link", "del", HOST_LINK)
    for netns in ours():
        remove(netns)
    if NETNS_FOLDER.is_dir() and not any(NETNS_FOLDER.iterdir()):
        attempt("umount", NETNS_FOLDER)
        os.rmdir(NETNS_FOLDER)


def ours() -> list[str]:
    return sorted(
        file.name for file in NETNS_FOLDER.glob(f"{NETNS}*") if file.name.removeprefix(NETNS)[:1] in ("", "-")
    )
