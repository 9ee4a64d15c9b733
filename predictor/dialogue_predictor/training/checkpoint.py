"""A checkpoint: everything a run needs to go on as if it had not stopped, without pickle.

Tensors go to safetensors, the rest to JSON, both into a folder that replaces the previous one by renaming: a run that
is killed while it saves leaves the old checkpoint whole.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

STATE = "state.safetensors"
PROGRESS = "progress.json"
MODEL = "model."
AVERAGE = "average."
OPTIMIZER = "optimizer."
RANDOM = "random_state"


@dataclass(frozen=True, slots=True)
class Progress:
    """`step` updates were made in `seconds` of training; the seconds decide the learning rate."""

    step: int = 0
    seconds: float = 0.0


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    average: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    facts: Mapping[str, Any],
) -> None:
    """Write `folder`, replacing what is there. `facts` (seed, sizes) must be the same when resuming."""
    tensors = {MODEL + name: value for name, value in model.state_dict().items()}
    tensors |= {AVERAGE + name: value for name, value in average.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"{OPTIMIZER}{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    tensors[RANDOM] = torch.get_rng_state()
    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    save_file({name: value.contiguous().clone() for name, value in tensors.items()}, fresh / STATE)
    record = {"step": progress.step, "seconds": progress.seconds, "facts": dict(facts)}
    (fresh / PROGRESS).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    replace_folder(fresh, folder)


def replace_folder(fresh: Path, folder: Path) -> None:
    """Put `fresh` in the place of `folder`. Between the two renames only the old one's spare name exists."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, facts: Mapping[str, Any]
) -> tuple[Progress, dict[str, Tensor]]:
    """Restore model, optimizer and random state; return the progress and the averaged weights.

    Raises ValueError when the checkpoint is of another run, naming what differs.
    """
    if not folder.exists():
        spare = folder.with_name(f".{folder.name}.old")
        folder = spare if spare.exists() else folder
    record = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
    for name, value in facts.items():
        if record["facts"].get(name) != value:
            raise ValueError(f"the checkpoint was made with {name}={record['facts'].get(name)!r}, not {value!r}")
    tensors = load_file(folder / STATE)
    model.load_state_dict(under(tensors, MODEL))
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in under(tensors, OPTIMIZER).items():
        index, key = name.split(".", 1)
        states.setdefault(int(index), {})[key] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": states, "param_groups": groups})
    torch.set_rng_state(tensors[RANDOM])
    return Progress(record["step"], record["seconds"]), under(tensors, AVERAGE)


def under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
