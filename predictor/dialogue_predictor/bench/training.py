"""Our training loop beside a plain PyTorch one: the same model, the same batches, the same precision, tokens a second.

The plain loop is what one writes first: forward, cross entropy, backward, clip, AdamW. Each is measured in a process of
its own, by turns, so that what else runs on the machine falls on both. The copy head and the bag of words are left out
of this comparison: a plain loop would need far more for the one, and has not the other.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn import functional

from dialogue_predictor.training.batches import IGNORE, Batch, bucketed, collate
from dialogue_predictor.training.data.examples import Example
from dialogue_predictor.training.loop import DTYPES, LoopOptions, Precision, train
from dialogue_predictor.training.machine import best_precision
from dialogue_predictor.training.observers import Point, Silent, peak_memory
from dialogue_predictor.training.process import ENVIRONMENT, keep_memory
from dialogue_predictor.training.run import begun
from dialogue_predictor.training.schedule import Progress, Schedule
from dialogue_predictor.training.stage import small_bilingual
from dialogue_predictor.training.tasks import Seq2Seq

FLOOR = 0.8
WARM = 5
BATCH_TOKENS = 4096
SMOOTHING = 0.1
LENGTHS = ((24, 40, 64, 96, 128, 190), (4, 40))  # sources to choose from; shortest and longest target


@dataclass(frozen=True, slots=True)
class Sample:
    """One process's run: tokens a second after warming up, peak bytes after a quarter and in the end."""

    tokens_per_second: float
    early_memory: int
    late_memory: int


@dataclass(frozen=True, slots=True)
class Result:
    precision: Precision
    steps: int
    ours: list[Sample]
    plain: list[Sample]

    @property
    def ratio(self) -> float:
        return speed(self.ours) / speed(self.plain)

    @property
    def growth(self) -> float:
        """How much the peak of ours rose over the last three quarters of a run, the median."""
        return statistics.median(sample.late_memory / sample.early_memory - 1 for sample in self.ours)

    @property
    def failed(self) -> bool:
        return self.ratio < FLOOR

    @property
    def table(self) -> str:
        rows = [f"| {name} | {speed(samples):,.0f} | {memory(samples):.2f} |" for name, samples in self.named]
        return "\n".join(
            [
                f"{self.precision}, {self.steps} steps of {BATCH_TOKENS} tokens, the median of {len(self.ours)} processes:",
                "",
                "| loop | tokens/s | peak memory, GiB |",
                "| --- | --- | --- |",
                *rows,
                "",
                f"ours ÷ plain: {self.ratio:.2f} (floor {FLOOR}); peak memory of ours after the first quarter: {self.growth:+.1%}",
            ]
        )

    @property
    def named(self) -> tuple[tuple[str, list[Sample]], ...]:
        return ("ours", self.ours), ("plain PyTorch", self.plain)


def speed(samples: list[Sample]) -> float:
    return statistics.median(sample.tokens_per_second for sample in samples)


def memory(samples: list[Sample]) -> float:
    return statistics.median(sample.late_memory for sample in samples) / 2**30


def compare(rounds: int, steps: int, threads: int, report: Callable[[str], None]) -> Result:
    """Run both loops `rounds` times by turns. Raises RuntimeError with a process's last words."""
    result = Result(best_precision("cpu"), steps, [], [])
    for number in range(1, rounds + 1):
        for (name, samples), loop in zip(result.named, ("ours", "plain"), strict=True):
            samples.append(in_a_process(loop, result.precision, steps, threads))
            report(f"round {number}: {name} {samples[-1].tokens_per_second:,.0f} tokens/s")
    return result


def in_a_process(loop: str, precision: Precision, steps: int, threads: int) -> Sample:
    command = (sys.executable, "-m", "dialogue_predictor.bench.training", loop, precision, str(steps), str(threads))
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | ENVIRONMENT | {"OMP_NUM_THREADS": str(threads)}
    )
    if done.returncode:
        raise RuntimeError(f"{loop}: {done.stderr.strip().splitlines()[-1]}")
    return Sample(**json.loads(done.stdout.splitlines()[-1]))


def corpus(count: int = 4000) -> list[Batch]:
    """Random dialogues with lengths as those of real ones."""
    draw = random.Random(0)
    vocabulary, (sources, targets) = small_bilingual().vocab_size, LENGTHS

    def ids(length: int) -> tuple[int, ...]:
        return tuple(draw.randrange(9, vocabulary) for _ in range(length))

    examples = [Example(ids(draw.choice(sources)), ids(draw.randint(*targets)), "en") for _ in range(count)]
    return [collate(chosen, small_bilingual().decoder_start_id) for chosen in bucketed(examples, BATCH_TOKENS, draw)]


class Watch(Silent):
    """Tokens and time from the end of the warm-up on."""

    def __init__(self) -> None:
        self.marks: list[tuple[int, float, int]] = []

    def advance(self, progress: Progress, schedule: Schedule) -> None:
        self.marks.append((progress.tokens, time.perf_counter(), peak_memory()))

    def measure(self, point: Point, progress: Progress, schedule: Schedule) -> None: ...

    def sample(self) -> Sample:
        (before, began, _), (after, ended, late) = self.marks[WARM - 1], self.marks[-1]
        early = self.marks[max(WARM - 1, len(self.marks) // 4)][2]
        return Sample((after - before) / (ended - began), early, late)


def ours(batches: list[Batch], precision: Precision, steps: int) -> Sample:
    def stream(skip: int) -> Iterator[Batch]:
        while True:
            yield from batches

    task, watch = Seq2Seq(begun(small_bilingual()), SMOOTHING), Watch()
    train(task, stream, Schedule(max_steps=steps), LoopOptions(precision=precision, report_steps=10), observer=watch)
    return watch.sample()


def plain(batches: list[Batch], precision: Precision, steps: int) -> Sample:
    model, watch, tokens = begun(small_bilingual()).train(), Watch(), 0
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01)
    schedule = Schedule(max_steps=steps)
    for step in range(steps):
        batch = batches[step % len(batches)]
        with torch.autocast("cpu", DTYPES[precision], enabled=precision != "fp32"):
            logits = model(batch.source, batch.source_mask, batch.target_in)
            loss = functional.cross_entropy(
                logits.flatten(0, 1), batch.target_out.flatten(), ignore_index=IGNORE, label_smoothing=SMOOTHING
            )
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        tokens += batch.tokens
        watch.advance(replace(Progress(), step=step + 1, tokens=tokens), schedule)
    return watch.sample()


def main(loop: str, precision: Precision, steps: int, threads: int) -> None:
    keep_memory()
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    sample = (ours if loop == "ours" else plain)(corpus(), precision, steps)
    print(json.dumps({name: getattr(sample, name) for name in sample.__slots__}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))  # type: ignore[arg-type]
