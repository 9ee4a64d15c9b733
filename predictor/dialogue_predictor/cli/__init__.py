"""The `dialogue` command: serve, chat, and the ML engineer's sub-commands.

What may live here: arguments, words on a terminal, exit codes. What may not: work of its own. Heavy imports happen
inside commands, so that `--help` answers at once and a pod that cannot start says so within a second.
"""

from dialogue_predictor.cli.app import app

__all__ = ["app"]
