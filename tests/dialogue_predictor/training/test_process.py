"""What a training process asks of the C library and of oneDNN, seen from a process of its own."""

import json
import os
import subprocess
import sys

from dialogue_predictor.training.process import ENVIRONMENT

SETTLED = """
import json, os, resource, sys
from dialogue_predictor.training.process import settle
if "settle" in sys.argv:
    settle()
import torch

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(1 << 24)  # 64 MiB, freed at once
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(json.dumps({"faults": faults(), "environment": dict(os.environ)}))
"""


def in_a_process(*words: str, **environment: str) -> tuple[int, dict[str, str]]:
    """Page faults of memory that was used before, and the environment."""
    bare = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    done = subprocess.run(
        (sys.executable, "-c", SETTLED, *words), env=bare | environment, capture_output=True, text=True, check=True
    )
    said = json.loads(done.stdout)
    return said["faults"], said["environment"]


def test_memory_that_was_freed_is_used_again() -> None:
    (before, _), (after, _) = in_a_process(), in_a_process("settle")
    assert after < before / 4


def test_what_the_user_has_set_stays() -> None:
    ((name, value),) = ENVIRONMENT.items()
    assert in_a_process("settle")[1][name] == value
    assert in_a_process("settle", **{name: "64"})[1][name] == "64"
