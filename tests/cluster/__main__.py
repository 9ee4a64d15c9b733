"""`python -m cluster`."""

import sys

from cluster.commands import main

sys.exit(main(sys.argv[1:]))
