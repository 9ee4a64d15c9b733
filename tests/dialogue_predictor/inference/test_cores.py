"""A container's limit on cores, as both versions of cgroups write it down."""

import math
import os
from pathlib import Path

import pytest

from dialogue_predictor.inference.cores import available_cores, quota


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, math.inf),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf),
        ({}, math.inf),
    ],
)
def test_a_limit_is_read(files: dict[str, str], cores: float, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert quota(tmp_path) == cores


def test_there_is_one_core_at_least_and_not_more_than_the_machine_has(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("20000 100000")
    assert available_cores(tmp_path) == 1
    (tmp_path / "cpu.max").write_text("max 100000")
    assert available_cores(tmp_path) == len(os.sched_getaffinity(0))
