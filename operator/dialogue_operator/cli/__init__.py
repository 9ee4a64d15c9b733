"""`dialogue-operator`: what people and the container's entry point type.

May live here: reading arguments and files, printing. May not: decisions, Kubernetes calls; and nothing here imports
what only `run` needs, so that `render` and `crd` work without a cluster and without waiting.
"""

from dialogue_operator.cli.commands import app

__all__ = ["app"]
