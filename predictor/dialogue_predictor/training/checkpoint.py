"""A checkpoint: everything a run needs to go on as if it had not stopped, without pickle.

Tensors go to safetensors, the rest to JSON, both into a folder that replaces the previous one by renaming: a run that
is killed while it saves, or finds the disk full, leaves the old checkpoint whole. No random state is kept: what is drawn
in a step follows from the run's seed and the step's number.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dialogue_predictor.training.observers import Point
from dialogue_predictor.training.ranks import Ranks
from dialogue_predictor.training.schedule import Progress, Stopping

STATE = "state.safetensors"
PROGRESS = "progress.json"
MODEL = "model."
AVERAGE = "average."
BEST = "best."
OPTIMIZER = "optimizer."

Facts = Mapping[str, Any]


@dataclass(slots=True)
class Training:
    """All that changes while a task is trained. `unread` is the loss summed since the last point, over `unread_units`.

    `best` are the averaged weights of the lowest validation loss, kept where the run may stop early.
    """

    task: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    average: dict[str, Tensor]
    unread: Tensor
    unread_units: int = 0
    best: dict[str, Tensor] | None = None
    progress: Progress = field(default_factory=Progress)
    stopping: Stopping = field(default_factory=Stopping)
    history: list[Point] = field(default_factory=list)


def save_checkpoint(folder: Path, training: Training, ranks: Ranks, facts: Facts) -> None:
    """Write `folder`, replacing what is there. `facts` (seed, sizes) must be the same when resuming. Collective.

    Raises OSError where it cannot be written; the folder is then as it was.
    """
    parts = {
        MODEL: training.task.state_dict(),
        AVERAGE: training.average,
        BEST: training.best or {},
        OPTIMIZER: moments(training.task, training.optimizer),
    }
    tensors = {
        prefix + name: value for prefix, part in parts.items() for name, value in ranks.gather_state(part).items()
    }
    record = {
        "progress": asdict(training.progress),
        "stopping": asdict(training.stopping),
        "scaler": training.scaler.state_dict(),
        "unread": ranks.total(float(training.unread)),
        "unread_units": training.unread_units,
        "history": [asdict(point) for point in training.history],
        "facts": dict(facts),
    }
    if ranks.is_first:
        write_folder(folder, tensors, record)


def write_folder(folder: Path, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        write_tensors(tensors, fresh / STATE)
        (fresh / PROGRESS).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        replace_folder(fresh, folder)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        whole = "; the one before it is whole" if folder.exists() else ""
        raise OSError(f"cannot save the checkpoint {folder}: {error}{whole}: make room, then resume") from error


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raises OSError, which safetensors calls by another name."""
    try:
        save_file({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}, path)
    except SafetensorError as error:
        raise OSError(str(error)) from error


def replace_folder(fresh: Path, folder: Path) -> None:
    """Put `fresh` in the place of `folder`. Between the two renames only the old one's spare name exists."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def exists(folder: Path) -> bool:
    return whole(folder).exists()


def whole(folder: Path) -> Path:
    """The folder, or its predecessor where a run was killed between the two renames."""
    spare = folder.with_name(f".{folder.name}.old")
    return spare if spare.exists() and not folder.exists() else folder


def load_checkpoint(folder: Path, training: Training, ranks: Ranks, facts: Facts) -> None:
    """Make `training` what it was when saved. Raises ValueError when the checkpoint is of another run, naming what differs."""
    try:
        record = json.loads((whole(folder) / PROGRESS).read_text(encoding="utf-8"))
        tensors = load_file(whole(folder) / STATE)
    except (json.JSONDecodeError, SafetensorError) as error:
        raise ValueError(f"{folder} is no readable checkpoint ({error}): start again in another folder") from error
    check_facts(folder, record["facts"], facts)
    task, device = training.task, training.unread.device
    weights = dict(task.state_dict())
    task.load_state_dict(ranks.scatter_state(under(tensors, MODEL), weights))
    training.average = ranks.scatter_state(under(tensors, AVERAGE), weights)
    training.best = ranks.scatter_state(under(tensors, BEST), weights) or None
    restore_moments(task, training.optimizer, under(tensors, OPTIMIZER), ranks)
    if record["scaler"]:
        training.scaler.load_state_dict(record["scaler"])
    training.unread = torch.tensor(record["unread"] if ranks.is_first else 0.0, dtype=torch.float64, device=device)
    training.unread_units = record["unread_units"]
    training.progress = Progress(**record["progress"])
    training.stopping = Stopping(**record["stopping"])
    training.history = [Point(**point) for point in record["history"]]


def check_facts(folder: Path, saved: Facts, wanted: Facts) -> None:
    """Raises ValueError that names the first fact that differs, dotted where facts are nested."""
    before, now = flat(saved), flat(wanted)
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            raise ValueError(
                f"{folder} was made with {name}={before.get(name)!r}, not {now.get(name)!r}: "
                "resume with the same options, or start again in another folder"
            )


def flat(facts: Facts, prefix: str = "") -> dict[str, Any]:
    """{"model": {"heads": 4}} → {"model.heads": 4}."""
    result: dict[str, Any] = {}
    for name, value in facts.items():
        result |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return result


def moments(task: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's tensors by parameter and kind: `NAME.exp_avg`."""
    names: dict[Tensor, str] = {value: name for name, value in task.named_parameters()}
    return {
        f"{names[parameter]}.{kind}": value
        for parameter, kinds in optimizer.state.items()
        for kind, value in kinds.items()
    }


def restore_moments(
    task: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], ranks: Ranks
) -> None:
    parameters = dict(task.named_parameters())
    owners = {name: parameters[name.rpartition(".")[0]] for name in tensors}
    shaped = {name: value for name, value in tensors.items() if value.dim()}
    placed = ranks.scatter_state(shaped, owners)
    for name, value in tensors.items():
        kind = name.rpartition(".")[2]
        optimizer.state[owners[name]][kind] = placed[name] if name in placed else value.clone().to(owners[name].device)


def under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
