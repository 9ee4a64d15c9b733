"""A real node: containerd, kubelet and kube-proxy in the node's own network namespace, and CoreDNS for all of them."""

import json
from pathlib import Path

from cluster import cgroups, store, tools
from cluster.build import program
from cluster.console import ClusterError
from cluster.oci import PAUSE
from cluster.places import ADMIN_KUBECONFIG, KEYS, NODE_IP, POD_RANGE, STATE, Node, kubeconfig
from cluster.processes import start, wait_for

COREFILE = f""".:53 {{
  bind {NODE_IP}
  errors
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {ADMIN_KUBECONFIG}
    pods insecure
    ttl 5
  }}
}}
"""


def create_dns() -> None:
    (STATE / "Corefile").write_text(COREFILE)
    start("coredns", program("coredns"), "-conf", STATE / "Corefile")


def create(node: Node) -> None:
    plugins = tools.cni_plugins()
    if plugins is None:
        raise ClusterError("the CNI plugin `ptp` is not installed")
    (node.folder / "cni").mkdir()
    _write_json(node.folder / "cni/10-dialogue.conflist", _cni(node))
    (node.folder / "containerd.toml").write_text(_containerd(node, plugins))
    (node.folder / "resolv.conf").write_text("")
    _write_json(node.folder / "kubelet.json", _kubelet(node))
    _write_json(node.folder / "proxy.json", _proxy(node))
    store.copy_to(node.folder / "containerd")
    cgroups.create(node.netns)

    containerd = node.daemon("containerd")
    # Its own mount namespace, which the kubelet and the pods share: what they mount, and what they insist on writing
    # to these three folders, is gone when they are.
    mounts = (
        "for folder in /run /var/lib /var/log; do mount -t tmpfs dialogue $folder; done; "
        f"{store.mount_layers(node.folder / 'containerd')}; mount --make-rshared /"
    )
    start(
        containerd,
        "unshare",
        "--mount",
        "--propagation=private",
        "sh",
        "-c",
        f"{mounts}; exec containerd --config {node.folder}/containerd.toml",
        netns=node.netns,
    )
    start(node.daemon("kube-proxy"), program("kube-proxy"), f"--config={node.folder}/proxy.json", netns=node.netns)
    wait_for(containerd, lambda: store.answers(node.socket))
    start(
        node.daemon("kubelet"),
        program("kubelet"),
        f"--config={node.folder}/kubelet.json",
        f"--root-dir={node.folder}/kubelet",
        f"--kubeconfig={kubeconfig(node.daemon('kubelet'))}",
        f"--hostname-override={node.name}",
        f"--node-ip={node.ip}",
        netns=node.netns,
        mounts_of=containerd,
    )


def _write_json(file: Path, content: object) -> None:
    file.write_text(json.dumps(content, indent=1))


def _cni(node: Node) -> object:
    # ptp and not bridge: every packet is routed, so Service addresses work between pods without br_netfilter
    addresses = {
        "type": "host-local",
        "dataDir": str(node.folder / "ipam"),
        "ranges": [[{"subnet": node.pods}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    return {"cniVersion": "0.4.0", "name": "dialogue", "plugins": [{"type": "ptp", "mtu": 1500, "ipam": addresses}]}


def _containerd(node: Node, plugins: Path) -> str:
    # restrict_oom_score_adj: in a container, root may lack the right to lower its own score
    return f"""version = 2
root = "{node.folder}/containerd"
state = "{node.folder}/c"
[grpc]
  address = "{node.socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{node.folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{node.folder}/cni"
"""


def _kubelet(node: Node) -> object:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{KEYS}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "address": node.ip,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{node.netns}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "containerRuntimeEndpoint": f"unix://{node.socket}",
        "clusterDNS": [NODE_IP],
        "clusterDomain": "cluster.local",
        "resolvConf": f"{node.folder}/resolv.conf",
        "podLogsDir": f"{node.folder}/pods",
        "volumePluginDir": f"{node.folder}/volumeplugins",
        # images cannot be pulled again, so none may be collected
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {"memory.available": "200Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "shutdownGracePeriod": "0s",
        "nodeStatusUpdateFrequency": "5s",
    }


def _proxy(node: Node) -> object:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(kubeconfig("proxy"))},
        "clusterCIDR": POD_RANGE,
        "hostnameOverride": node.name,
        "bindAddress": node.ip,
        "metricsBindAddress": "127.0.0.1:10249",
        "healthzBindAddress": "127.0.0.1:10256",
        # these belong to the machine and not to a namespace: leave them alone
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
