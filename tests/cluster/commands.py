"""The command line of the local cluster."""

import argparse
import os
import re
import shlex
import sys
from pathlib import Path

from cluster import api, build, image_build, lifecycle, processes, store, volumes
from cluster.build import program
from cluster.console import ClusterError, say
from cluster.places import ADMIN_KUBECONFIG, GATEWAY, NODE_IP, STATE
from cluster.versions import ADD_ONS, LIGHT, REAL

DESCRIPTION = f"""\
A local cluster: real Kubernetes, KServe and a Gateway inside network namespaces of this machine.

With --light the nodes are fake (their pods are ready at once and nothing runs); without, pods run.
Traffic reaches the gateway at {GATEWAY}; the API and kubectl after eval "$(make -s cluster-env)".
"""


def main(words: list[str]) -> int:
    arguments = _parser().parse_args(words)
    try:
        arguments.run(arguments)
    except ClusterError as error:
        print(f"cluster: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("cluster: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cluster", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="start it; compiles what is missing")
    up.add_argument("--light", action="store_true", help="fake nodes: for the operator's logic, without traffic")
    up.add_argument("--nodes", type=_positive, metavar="N", help="how many nodes (default: 1, or 3 fake ones)")
    up.add_argument(
        "--node-grace",
        type=_positive,
        default=50,
        metavar="S",
        help="seconds of silence after which a node counts as lost (default: 50, as Kubernetes has it)",
    )
    up.add_argument(
        "--with",
        dest="extras",
        type=lambda text: text.split(","),
        default=[],
        metavar="NAME,…",
        help=f"for autoscaling: {', '.join(ADD_ONS)}; half an hour to compile, once",
    )
    up.set_defaults(run=_up)

    commands.add_parser("status", help="what runs, with memory").set_defaults(run=_status)
    commands.add_parser("down", help="stop it and remove everything it made").set_defaults(run=_down)
    commands.add_parser("env", help="print shell exports: KUBECONFIG, PATH with kubectl, GATEWAY").set_defaults(
        run=_env
    )
    commands.add_parser("volumes", help="empty the volumes whose claim is gone, for new claims").set_defaults(
        run=_volumes
    )

    building = commands.add_parser("build", help="compile what is missing, and nothing else")
    building.add_argument("names", nargs="*", metavar="NAME", help="default: everything but add-ons")
    building.set_defaults(run=lambda given: build.build(given.names))

    image = commands.add_parser("image", help="build an image and give it to the nodes that run")
    image.add_argument("tag")
    image.add_argument("-f", "--file", type=Path, help="default: CONTEXT/Dockerfile")
    image.add_argument("context", type=Path)
    image.add_argument("arguments", nargs="*", metavar="ARG=VALUE", help="build arguments")
    image.set_defaults(run=_image)

    commands.add_parser("clean", help="forget all images and their build cache").set_defaults(run=_clean)

    for command, action, text in (
        ("stop", _stop, "stop parts of it (etcd, apiserver, kserve-manager, …) to see what the rest does"),
        ("again", _again, "start such parts again, as they were"),
    ):
        parts = commands.add_parser(command, help=text)
        parts.add_argument("names", nargs="+", metavar="NAME", help="a name that `status` shows")
        parts.set_defaults(run=action)

    kill = commands.add_parser("kill", help="lose a node: its processes end and packets to it are swallowed")
    kill.add_argument("node")
    kill.set_defaults(run=lambda given: lifecycle.kill(given.node))
    return parser


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _up(given: argparse.Namespace) -> None:
    count = given.nodes or (3 if given.light else 1)
    lifecycle.up(LIGHT if given.light else REAL, count, given.node_grace, given.extras)


def _down(_: argparse.Namespace) -> None:
    lifecycle.down()


def _env(_: argparse.Namespace) -> None:
    path = [*(str(program(name).parent) for name in ("kubectl", "helm")), os.environ.get("PATH", "")]
    direct = ",".join(dict.fromkeys([*filter(None, os.environ.get("NO_PROXY", "").split(",")), NODE_IP]))
    exports = {
        "KUBECONFIG": str(ADMIN_KUBECONFIG),
        "PATH": ":".join(path),
        "GATEWAY": GATEWAY,
        "DIALOGUE_CLUSTER_STATE": str(STATE),
        "NO_PROXY": direct,
        "no_proxy": direct,
    }
    for name, value in exports.items():
        print(f"export {name}={shlex.quote(value)}")


def _volumes(_: argparse.Namespace) -> None:
    say(f"free again: {', '.join(volumes.free()) or 'none'}")


def _image(given: argparse.Namespace) -> None:
    image_build.build(given.tag, given.file or given.context / "Dockerfile", given.context, given.arguments)


def _clean(_: argparse.Namespace) -> None:
    store.clean()


def _stop(given: argparse.Namespace) -> None:
    processes.end([one.pid for one in map(processes.daemon, given.names) if one.alive])


def _again(given: argparse.Namespace) -> None:
    for name in given.names:
        processes.restart(name)


def _status(_: argparse.Namespace) -> None:
    known = lifecycle.record()
    if known is None:
        raise ClusterError("no cluster is up")
    total = 0
    for one in processes.daemons():
        size = _memory(one.pid) if one.alive else 0
        total += size
        print(f"{one.name:20} {one.pid if one.alive else 'not running':>12} {size:6} MiB")
    print(f"{'total':20} {'':>12} {total:6} MiB\n")
    print(
        api.ask("get", "nodes,gateways,inferenceservices,pods", "-A", "--request-timeout=5s")
        or "the API server does not answer"
    )
    if not known.complete:
        raise ClusterError("`up` has not finished, or was interrupted")


def _memory(pid: int) -> int:
    """Proportional share in MiB."""
    try:
        found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
    except OSError:
        return 0
    return int(found[1]) // 1024 if found else 0
