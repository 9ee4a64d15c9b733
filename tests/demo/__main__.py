"""`python -m demo up|down`."""

import os
import sys

from demo.shell import DemoError, kubectl, local_cluster, run, say
from demo.story import MODEL, NAMESPACE, tell


def down() -> None:
    """The local cluster goes whole; from a cluster of the user's only what the demo put there."""
    if not os.environ.get("KUBECONFIG"):
        local_cluster("down")
        return
    kubectl("delete", "dm", MODEL, "-n", NAMESPACE, "--ignore-not-found", "--cascade=foreground")
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
    run("helm", "uninstall", "dialogue-operator", "--namespace", "dialogue-system", "--ignore-not-found")
    say("taken away: the demo's namespace and the operator; the CRD stays, for it may have other users")


def main() -> int:
    action = {"up": tell, "down": down}.get(sys.argv[1] if len(sys.argv) == 2 else "")
    if action is None:
        print("usage: python -m demo up|down", file=sys.stderr)
        return 2
    try:
        action()
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
