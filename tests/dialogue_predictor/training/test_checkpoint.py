"""What is saved survives being cut off, a full disk, and being taken for another run's."""

import math
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dialogue_predictor.training.batches import Batch, collate
from dialogue_predictor.training.checkpoint import (
    Training,
    check_facts,
    exists,
    load_checkpoint,
    save_checkpoint,
    write_folder,
)
from dialogue_predictor.training.data.examples import Example
from dialogue_predictor.training.loop import LoopOptions, train
from dialogue_predictor.training.optimizer import fresh_average, make_optimizer
from dialogue_predictor.training.ranks import Alone
from dialogue_predictor.training.run import finish_run
from dialogue_predictor.training.schedule import Progress, Schedule
from dialogue_predictor.training.tasks import Seq2Seq
from support.tiny_models import tiny_model

BATCH = collate([Example((5, 9, 2), (7, 8, 2), "en")], decoder_start_id=1)


def training_of(step: int) -> Training:
    task = Seq2Seq(tiny_model(1, vocab_size=20))
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    average = fresh_average(task)
    unread = torch.zeros((), dtype=torch.float64)
    return Training(task, make_optimizer(task, 0.0), scaler, average, unread, progress=Progress(step))


def step_of(folder: Path) -> int:
    training = training_of(0)
    load_checkpoint(folder, training, Alone(), {"seed": 0})
    return training.progress.step


def test_a_checkpoint_replaces_the_one_before_and_survives_being_cut_off(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for step in (1, 2):
        save_checkpoint(folder, training_of(step), Alone(), {"seed": 0})
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]
    assert step_of(folder) == 2
    folder.rename(tmp_path / ".run.old")  # killed between its two renames
    assert exists(folder)
    assert step_of(folder) == 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of half a megabyte; where none can be mounted, the test is left to another machine."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("cannot mount a file system here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_ends_a_run_in_one_sentence_and_leaves_the_checkpoint_whole(small_disk: Path) -> None:
    def batches(skip: int) -> Iterator[Batch]:
        while True:
            if skip >= 3:  # the disk fills up after the third step was saved
                free = os.statvfs(small_disk)
                with (small_disk / "other").open("ab") as file:
                    file.write(b"0" * (free.f_bavail * free.f_frsize))
            skip += 1
            yield BATCH

    folder = small_disk / "checkpoint"
    options = LoopOptions(precision="fp32", checkpoint_seconds=0)
    schedule = Schedule(max_steps=6)
    task = Seq2Seq(tiny_model(1, vocab_size=20, d_model=16, ffn=16, max_positions=16))
    with pytest.raises(
        OSError, match=r"cannot save the checkpoint .*No space left.*the one before it is whole: make room"
    ):
        train(task, batches, schedule, options, checkpoint=(folder, {"seed": 0}))
    assert sorted(entry.name for entry in small_disk.iterdir()) == ["checkpoint", "other"]
    (small_disk / "other").unlink()
    seen: list[int] = []

    def rest(skip: int) -> Iterator[Batch]:
        seen.append(skip)
        return iter([BATCH] * 9)

    assert train(task, rest, schedule, options, checkpoint=(folder, {"seed": 0})).progress.step == 6
    assert seen == [3]


def test_weights_that_no_longer_fit_on_the_disk_leave_nothing_half_written(small_disk: Path) -> None:
    with pytest.raises(OSError, match=r"cannot write .*model\.safetensors: .*No space left"):
        finish_run(small_disk, {"weight": torch.zeros(200_000)}, {})
    assert list(small_disk.iterdir()) == []


def test_an_error_of_the_disk_is_told_without_a_disk_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "run", {"a": torch.ones(2)}, {"step": 1})

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left on device; the one before it is whole"):
        write_folder(tmp_path / "run", {"a": torch.zeros(2)}, {"step": 2})
    assert '"step": 1' in (tmp_path / "run" / "progress.json").read_text()
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"seed": 1, "model": {"heads": 4}}, "seed=0, not 1"),
        ({"seed": 0, "model": {"heads": 2}}, r"model\.heads=4, not 2"),
        ({"seed": 0, "model": {"heads": 4, "copy": True}}, r"model\.copy=None, not True"),
    ],
)
def test_what_differs_is_named(wanted: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_facts(Path("run"), {"seed": 0, "model": {"heads": 4}}, wanted)


@pytest.mark.parametrize("name", ["state.safetensors", "progress.json"])
def test_a_spoilt_checkpoint_is_said_to_be_unreadable(tmp_path: Path, name: str) -> None:
    save_checkpoint(tmp_path / "run", training_of(1), Alone(), {"seed": 0})
    (tmp_path / "run" / name).write_bytes(b"\x00 nonsense")
    with pytest.raises(ValueError, match="no readable checkpoint"):
        step_of(tmp_path / "run")


def test_nothing_is_saved_more_often_than_asked_for(tmp_path: Path) -> None:
    ticks = iter(range(10_000))
    written: list[int] = []

    class Watched(Alone):
        def gather_state(self, tensors: object) -> dict[str, torch.Tensor]:
            written.append(len(written))
            return {}

    task = Seq2Seq(tiny_model(1, vocab_size=20))
    options = replace(LoopOptions(precision="fp32"), checkpoint_seconds=4, report_steps=10**9)
    checkpoint = (tmp_path / "run", {"seed": 0})
    schedule = Schedule(max_steps=12, max_seconds=math.inf)
    train(
        task,
        lambda skip: iter([BATCH] * 99),
        schedule,
        options,
        checkpoint=checkpoint,
        ranks=Watched(),
        clock=lambda: float(next(ticks)),
    )
    assert len(written) == 4 * (3 + 1) + 1  # weights, average, best and moments: three times and in the end
