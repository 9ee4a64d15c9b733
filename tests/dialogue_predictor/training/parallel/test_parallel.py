"""Real processes started by torchrun learn what a single one learns, and go on with each other's checkpoints.

Several runs share the processes: starting these takes longer than a run. Biases of keys are left out where weights are
compared: the softmax does not see them, so their gradients are rounding errors, which Adam brings to full size.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from dialogue_predictor.training.ranks import Alone
from support.parallel_runs import Run, written
from support.samples import ROOT

REPLIES, MASKS = Run(name="replies"), Run(name="masks", learns="masks")
ACCUMULATED = Run(name="accumulated", accumulate=2)
STOPPED_ALONE = Run(name="one then copies of halves", stop_at=2)
STOPPED = Run(name="shards of halves then one", data_parallel="fsdp", tensor_parallel=2, stop_at=5)

BY_TWO = {
    Run(name="copies", data_parallel="ddp", accumulate=2): ACCUMULATED,
    Run(name="shards", data_parallel="fsdp"): REPLIES,
    Run(name="halves", tensor_parallel=2): REPLIES,
    Run(name="shards on masks", data_parallel="fsdp", learns="masks"): MASKS,
}
BY_FOUR = {
    Run(name="copies on masks", data_parallel="ddp", learns="masks"): MASKS,
    Run(name=STOPPED_ALONE.name, data_parallel="ddp", tensor_parallel=2): REPLIES,
}
FINISHED_ALONE = {Run(name=STOPPED.name): REPLIES}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every run in it."""
    folder = tmp_path_factory.mktemp("runs")
    for run in (REPLIES, MASKS, ACCUMULATED, STOPPED_ALONE):
        run.carry_out(folder, Alone())
    torchrun(2, folder, *BY_TWO)
    torchrun(4, folder, *BY_FOUR, STOPPED)
    shutil.copytree(folder / STOPPED.name, folder / "left")
    for run in FINISHED_ALONE:
        run.carry_out(folder, Alone())
    return folder


def torchrun(processes: int, folder: Path, *runs: Run) -> None:
    path = os.pathsep.join(str(ROOT / name) for name in ("predictor", "tests"))
    launch = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}")
    done = subprocess.run(
        [sys.executable, *launch, "-m", "support.parallel_runs", folder, *map(written, runs)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("run", "alone"), (BY_TWO | BY_FOUR | FINISHED_ALONE).items(), ids=lambda run: run.name.replace(" ", "-")
)
def test_several_processes_learn_what_one_learns(run: Run, alone: Run, runs: Path) -> None:
    expected, found = (read(runs / name / "losses.json") for name in (alone.name, run.name))
    assert len(found) == 6
    assert [validation is not None for _, validation in found] == [False, False, True] * 2
    for ours, theirs in zip(found, expected, strict=True):
        assert [one for one in ours if one] == pytest.approx([one for one in theirs if one], rel=1e-5)
    norms, whole = (read(runs / name / "norms.json") for name in (run.name, alone.name))
    for ours, theirs in zip(norms, whole[-len(norms) :], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    weights, reference = (load_file(runs / name / "weights.safetensors") for name in (run.name, alone.name))
    assert weights.keys() == reference.keys()
    for name, value in weights.items():
        if not name.endswith("k_proj.bias"):
            assert (value - reference[name]).abs().max() < 2e-5, name


def test_stopping_one_process_stops_all_of_them_with_a_checkpoint(runs: Path) -> None:
    record = read(runs / "left" / "checkpoint" / "progress.json")
    assert record["progress"]["step"] == STOPPED.stop_at
    assert not (runs / "left" / "losses.json").exists()


def test_a_checkpoint_holds_whole_tensors_however_they_were_spread(runs: Path) -> None:
    left, whole = (load_file(runs / name / "checkpoint" / "state.safetensors") for name in ("left", REPLIES.name))
    assert {name: value.shape for name, value in left.items()} == {name: value.shape for name, value in whole.items()}
