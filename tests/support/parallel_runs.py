"""Short training runs on made-up batches: alone, or in the processes of `torchrun … -m support.parallel_runs FOLDER RUN…`.

Batches are uneven on purpose: replicas get unlike numbers of tokens, and some batches have fewer rows than there are
replicas.
"""

import json
import math
import random
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from dialogue_predictor.model.heads import MaskedHead, SiameseHead
from dialogue_predictor.text.special import SPECIAL_TOKENS
from dialogue_predictor.training.batches import Batch, collate
from dialogue_predictor.training.data.examples import Example
from dialogue_predictor.training.interrupts import Interrupted
from dialogue_predictor.training.loop import LoopOptions, Precision, train
from dialogue_predictor.training.masking import MaskedBatch, collate_masked
from dialogue_predictor.training.observers import Point, Silent
from dialogue_predictor.training.parallel.grid import Grid
from dialogue_predictor.training.parallel.layout import DataParallel, Layout
from dialogue_predictor.training.parallel.opening import open_ranks
from dialogue_predictor.training.ranks import Ranks
from dialogue_predictor.training.schedule import Progress, Schedule
from dialogue_predictor.training.tasks import Seq2Seq, SimMIM, initialise
from support.tiny_models import VOCABULARY, tiny_model

CPU = torch.device("cpu")
ROWS = (5, 7, 1, 6, 3, 8, 2)
SCHEDULE = Schedule(max_steps=6, peak_rate=3e-3, warmup_steps=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """`name` is its folder, in which it goes on from a checkpoint. One rank is asked to stop with step `stop_at`."""

    name: str
    learns: Literal["replies", "masks"] = "replies"
    data_parallel: DataParallel | None = None
    tensor_parallel: int = 1
    precision: Precision = "fp32"
    shared_layers: bool = False
    accumulate: int = 1
    stop_at: int | None = None

    def carry_out(self, folder: Path, ranks: Ranks) -> None:
        """Leaves a checkpoint and, unless it stops, `losses.json`, `norms.json` and `weights.safetensors`."""
        options = LoopOptions(
            precision=self.precision,
            accumulate=self.accumulate,
            clip_norm=0.5,
            report_steps=1,
            validate_steps=3,
            checkpoint_seconds=math.inf,
            average_decay=0.5,
        )
        task = self.task(ranks)
        batches: Callable[[int], Iterator[Any]] = replies if self.learns == "replies" else masks
        validation = [next(batches(5))]
        checkpoint = (folder / self.name / "checkpoint", {"seed": 0})
        observer = Stopping(self.stop_at if ranks.rank == ranks.world - 1 else None)
        noting = Noting(ranks)
        try:
            outcome = train(
                task,
                batches,
                SCHEDULE,
                options,
                validation=validation,
                checkpoint=checkpoint,
                ranks=cast(Ranks, noting),
                observer=observer,
            )
        except Interrupted:
            return
        if ranks.is_first:
            losses = [(point.loss, point.validation) for point in outcome.history]
            for name, figures in (("losses", losses), ("norms", noting.norms)):
                (folder / self.name / f"{name}.json").write_text(json.dumps(figures), encoding="utf-8")
            save_file(outcome.weights, folder / self.name / "weights.safetensors")

    def task(self, ranks: Ranks) -> nn.Module:
        model = tiny_model(seed=1, copy=True, shared_layers=self.shared_layers).train()
        torch.manual_seed(0)
        initialise(model)
        if self.learns == "replies":
            return Seq2Seq(model, smoothing=0.1, bag_weight=0.5)
        config = model.config
        return SimMIM(model, MaskedHead(config), SiameseHead(config.d_model, 16), all_rows=ranks.all_rows)


class Noting:
    """Ranks that remember the gradients' norm before and after it was clipped: Adam hides a wrong one."""

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks
        self.norms: list[tuple[float, float]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ranks, name)

    def clip(self, parameters: Iterable[nn.Parameter], norm: float) -> Tensor:
        clipped = list(parameters)
        before = self.ranks.clip(clipped, norm)
        self.norms.append((float(before), float(self.ranks.clip(clipped, math.inf))))
        return before


class Stopping(Silent):
    def __init__(self, at: int | None) -> None:
        self.at = at

    def measure(self, point: Point, progress: Progress, schedule: Schedule) -> None:
        if self.at is not None and point.step == self.at - 1:
            signal.raise_signal(signal.SIGINT)


def replies(skip: int) -> Iterator[Batch]:
    for draw, rows in drawn(skip):
        yield collate([Example(words(draw, 14), words(draw, 9), "en") for _ in range(rows)], decoder_start_id=1)


def masks(skip: int) -> Iterator[MaskedBatch]:
    for draw, rows in drawn(skip):
        yield collate_masked([words(draw, 14) for _ in range(rows)], draw)


def drawn(skip: int) -> Iterator[tuple[random.Random, int]]:
    while True:
        yield random.Random(skip), ROWS[skip % len(ROWS)]
        skip += 1


def words(draw: random.Random, longest: int) -> tuple[int, ...]:
    return tuple(draw.randrange(len(SPECIAL_TOKENS), VOCABULARY) for _ in range(draw.randint(2, longest)))


def written(run: Run) -> str:
    return json.dumps(asdict(run))


def read(text: str) -> Run:
    values: dict[str, Any] = json.loads(text)
    return Run(**values)


def main(folder: Path, runs: list[Run]) -> None:
    torch.set_num_threads(1)
    with open_ranks(CPU) as first:
        for run in runs:
            layout = Layout.of(first.world, run.data_parallel, run.tensor_parallel)
            run.carry_out(folder, Grid(layout, CPU, half=run.precision == "bf16"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [read(text) for text in sys.argv[2:]])
