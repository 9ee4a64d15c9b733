"""Signals: the step is finished, the run is saved, and one is told how to go on."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dialogue_predictor.training.interrupts import interrupts
from dialogue_predictor.training.run import open_run
from support.tiny_corpora import TINY_FLAGS, write_corpora

SMALL = [
    *TINY_FLAGS,
    *["--batch-tokens", "128", "--threads", "1", "--seed", "3", "--precision", "fp32", "--checkpoint-seconds", "999"],
]


def train_command(*words: str) -> list[str]:
    return [sys.executable, "-m", "dialogue_predictor.cli", "train", *words]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_and_the_second_acts_as_before(number: signal.Signals) -> None:
    before = signal.signal(number, lambda *_: seen.append("theirs"))
    seen: list[str] = []
    try:
        with interrupts() as interrupted:
            assert not interrupted()
            os.kill(os.getpid(), number)
            assert interrupted()
            assert seen == []
            os.kill(os.getpid(), number)
            assert seen == ["theirs"]
    finally:
        signal.signal(number, before)


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    data, out = write_corpora(tmp_path / "data"), tmp_path / "run"
    words = ["finetune", "--data", str(data), "--out", str(out), *SMALL]
    endless = subprocess.Popen(
        train_command(*words, "--max-steps", "1000000"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert endless.stdout is not None
    assert endless.stderr is not None
    for line in endless.stdout:
        if line.startswith("step"):
            endless.send_signal(signal.SIGINT)
            break
    rest, errors = endless.communicate(timeout=60)
    assert endless.returncode == 130, errors
    told = re.fullmatch(r"stopped after step (\d+); go on with: dialogue (.*)\n", errors)
    assert told, errors
    assert "Traceback" not in rest
    again = shlex.split(told[2])
    assert again[-1] == "--resume"
    again[again.index("--max-steps") + 1] = str(int(told[1]) + 2)
    resumed = subprocess.run([sys.executable, "-m", "dialogue_predictor.cli", *again], capture_output=True, text=True)
    assert resumed.returncode == 0, resumed.stderr
    assert f"resuming at step {told[1]}" in resumed.stdout
    assert open_run(out).report["steps"] == int(told[1]) + 2
