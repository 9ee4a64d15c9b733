"""The folder of a run: what it was asked for, its tokenizer and shape, its checkpoint, and in the end weights and report.

`run.json` · `tokenizer.json` · `config.json` · `checkpoint/` · `tensorboard/` · `model.safetensors` (averaged, fp32) ·
`heads.safetensors` where a stage has some · `report.json`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dialogue_predictor.artifacts.bundle import DIGEST, open_bundle
from dialogue_predictor.artifacts.weights import load_model
from dialogue_predictor.model.config import ModelConfig
from dialogue_predictor.model.transformer import DialogueTransformer, build
from dialogue_predictor.text.tokenizer import Tokenizer
from dialogue_predictor.training.checkpoint import exists, write_tensors
from dialogue_predictor.training.tasks import initialise

RUN = "run.json"
TOKENIZER = "tokenizer.json"
CONFIG = "config.json"
CHECKPOINT = "checkpoint"
TENSORBOARD = "tensorboard"
WEIGHTS = "model.safetensors"
HEADS = "heads.safetensors"
REPORT = "report.json"
COPY = "model.copy."


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run. `options` are those of its stage."""

    folder: Path
    stage: str
    options: Mapping[str, Any]
    config: ModelConfig
    report: Mapping[str, Any]

    @property
    def tokenizer(self) -> Path:
        return self.folder / TOKENIZER

    @property
    def weights(self) -> dict[str, Tensor]:
        return read_tensors(self.folder / WEIGHTS)

    @property
    def heads(self) -> dict[str, Tensor]:
        """Empty where the stage has none."""
        path = self.folder / HEADS
        return read_tensors(path) if path.exists() else {}


def open_run(folder: Path) -> Run:
    """Raises ValueError when the folder is no finished run, saying what is missing."""
    for name in (RUN, CONFIG, TOKENIZER):
        if not (folder / name).is_file():
            raise ValueError(f"{folder} is no run: it has no {name}")
    for name in (WEIGHTS, REPORT):
        if not (folder / name).is_file():
            raise ValueError(f"{folder} has no {name}: the run has not ended, go on with it by --resume")
    record = read_json(folder / RUN)
    return Run(
        folder,
        record["stage"],
        record["options"],
        ModelConfig.from_dict(read_json(folder / CONFIG)),
        read_json(folder / REPORT),
    )


def refuse_old(folder: Path, resume: bool) -> None:
    """Raises FileExistsError where a run would overwrite another."""
    if not resume and (exists(folder / CHECKPOINT) or (folder / WEIGHTS).exists()):
        raise FileExistsError(f"{folder} holds a run already: go on with it by --resume, or choose another folder")


def start_run(
    folder: Path,
    stage: str,
    options: Mapping[str, Any],
    config: ModelConfig,
    tokenizer: Tokenizer,
    data: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write down what a run is before it begins; `data` as `sources_in` says. One that is resumed keeps what it has."""
    if exists(folder / CHECKPOINT):
        return
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(folder / TOKENIZER)
    write_json(folder / CONFIG, config.to_dict())
    write_json(folder / RUN, {"stage": stage, "version": package_version(), "options": options, "data": data})


def finish_run(
    folder: Path,
    model_state: Mapping[str, Tensor],
    report: Mapping[str, Any],
    heads: Mapping[str, Tensor] | None = None,
) -> None:
    """Write the weights and the report; each appears whole or not at all. Raises OSError."""
    for name, state in ((WEIGHTS, model_state), (HEADS, heads)):
        if state:
            partial = folder / f".{name}.part"
            try:
                write_tensors(state, partial)
                partial.replace(folder / name)
            except OSError as error:
                partial.unlink(missing_ok=True)
                raise OSError(f"cannot write {folder / name}: {error}: make room, then resume") from error
    write_json(folder / REPORT, report)


@dataclass(frozen=True, slots=True)
class Start:
    """What a run goes on from: the weights of an earlier run or of a bundle."""

    path: Path
    config: ModelConfig
    tokenizer: Tokenizer
    weights: Mapping[str, Tensor]


def read_start(path: Path) -> Start:
    """A run's folder or a bundle's. Raises ValueError, or DialogueError on a bundle that is not whole."""
    if (path / DIGEST).exists():
        bundle = open_bundle(path)
        model = load_model(bundle)
        return Start(path, model.config, Tokenizer.load(bundle.tokenizer_path), model.state_dict())
    run = open_run(path)
    return Start(path, run.config, Tokenizer.load(run.tokenizer), run.weights)


def load_start(path: Path) -> tuple[DialogueTransformer, Tokenizer]:
    """The model of a run or of a bundle, in fp32 and in evaluation, and its tokenizer. Raises as `read_start`."""
    start = read_start(path)
    return begun(start.config, start).eval(), start.tokenizer


def begun(config: ModelConfig, start: Start | None = None) -> DialogueTransformer:
    """A fresh model, with a start's weights where there is one; only a copy head may be added or dropped.

    Raises ValueError when the weights do not fit.
    """
    model = initialise(build(config))
    if start is None:
        return model
    weights = {name: value for name, value in start.weights.items() if config.copy or not name.startswith(COPY)}
    try:
        missing, unknown = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise ValueError(f"{start.path}: its weights do not fit its {CONFIG}: {error}") from error
    wrong = [*unknown, *(name for name in missing if not name.startswith(COPY) or start.config.copy)]
    if wrong:
        raise ValueError(f"{start.path}: its weights do not fit its {CONFIG}: {', '.join(wrong)}")
    return model


def read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file: {error}") from error


def read_json(path: Path) -> dict[str, Any]:
    """Raises ValueError naming the file."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    return record


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(record, indent=1, default=str, ensure_ascii=False) + "\n", encoding="utf-8")


def package_version() -> str:
    try:
        return version("dialogue-serving")
    except PackageNotFoundError:  # run from a source tree
        return "unknown"
