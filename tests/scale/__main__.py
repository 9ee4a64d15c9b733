"""`python -m scale [PART…]`."""

import os
import sys

from demo.shell import DemoError, local_cluster
from scale.story import PARTS, tell


def main(parts: list[str]) -> int:
    if unknown := set(parts) - set(PARTS):
        print(f"scale: no part {', '.join(sorted(unknown))}; there is: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    if os.environ.pop("KUBECONFIG", None):
        print("scale: KUBECONFIG is ignored: this needs a local cluster with its add-ons")
    try:
        tell(parts or list(PARTS))
    except DemoError as error:
        print(f"scale: {error}", file=sys.stderr)
        return 1
    finally:
        local_cluster("down")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
