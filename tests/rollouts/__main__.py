"""`python -m rollouts [PART…]`: leaves the cluster as it found it."""

import asyncio
import sys

from demo.shell import DemoError, local_cluster
from rollouts.story import PARTS, tell


def main(parts: list[str]) -> int:
    if unknown := set(parts) - set(PARTS):
        print(f"rollouts: no part {', '.join(sorted(unknown))}; there is: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    try:
        asyncio.run(tell(parts or PARTS))
    except DemoError as error:
        print(f"rollouts: {error}", file=sys.stderr)
        return 1
    finally:
        local_cluster("down")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
