"""`python -m rollouts`: leaves the cluster as it found it."""

import asyncio
import sys

from demo.shell import DemoError, local_cluster
from rollouts.story import tell


def main() -> int:
    try:
        asyncio.run(tell())
    except DemoError as error:
        print(f"rollouts: {error}", file=sys.stderr)
        return 1
    finally:
        local_cluster("down")
    return 0


if __name__ == "__main__":
    sys.exit(main())
