"""The worker processes as their parent sees them, and samples that say how much others disturbed them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dialogue_predictor.bench.machine import busy_seconds, cores, process_seconds
from dialogue_predictor.bench.models import SHAPES, folder_of
from dialogue_predictor.bench.settings import Layout, Setting
from dialogue_predictor.bench.work import Work

FAREWELL_SECONDS = 10


class BenchFailed(Exception):
    """An engine could not be measured; the message says which and where its words are."""


@dataclass(frozen=True)
class Reply:
    """A sample: seconds of a run, the share of the machine that others used meanwhile, what the run made."""

    seconds: float
    tokens: int
    foreign: float
    peak_mib: float
    outputs: list[list[int]] | None = None


class Worker:
    """One engine in one layout in a process of its own; `close` it."""

    def __init__(self, work_folder: Path, model: str, engine: str, layout: Layout) -> None:
        self.name = f"{engine} {layout}"
        self.log = work_folder / f"{model}-{engine}-{layout}.log"
        folder = folder_of(work_folder, model, engine)
        command = ("-m", "dialogue_predictor.bench.worker", engine, "--model", str(folder), "--layout", str(layout),
                   "--vocabulary", str(SHAPES[model].vocabulary))  # fmt: skip
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                (sys.executable, *command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment(layout.threads),
            )
        self.library_mib = self.load_seconds = 0.0

    def wait_ready(self) -> None:
        """Raises BenchFailed when the engine does not load."""
        loaded = self._answer()
        self.library_mib, self.load_seconds = loaded["library_mib"], loaded["load_seconds"]

    def ask(self, work: Work, group: int = 0, *, repeat: int = 1, outputs: bool = False) -> Reply:
        """Runs a work `repeat` times. Raises BenchFailed."""
        busy, own = busy_seconds(), process_seconds(self.process.pid)
        job = {"work": asdict(work), "group": group, "repeat": repeat, "outputs": outputs}
        assert self.process.stdin is not None
        try:
            print(json.dumps(job), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            raise BenchFailed(f"{self.name} has ended; see {self.log}") from None
        answer = self._answer()
        others = busy_seconds() - busy - (process_seconds(self.process.pid) - own)
        took = answer["seconds"] * repeat * cores()
        return Reply(answer["seconds"], answer["tokens"], max(0.0, others / took), answer["peak_mib"],
                     answer.get("outputs"))  # fmt: skip

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "ended without an answer"}
        if "error" in answer:
            raise BenchFailed(f"{self.name}: {answer['error']}; see {self.log}")
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(FAREWELL_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def environment(count: int) -> dict[str, str]:
    """The parent's, with the threads of one engine for every library that counts threads, and no network."""
    return os.environ | {"OMP_NUM_THREADS": str(count), "MKL_NUM_THREADS": str(count), "HF_HUB_OFFLINE": "1"}


@contextmanager
def workers(work_folder: Path, model: str, settings: Sequence[Setting]) -> Iterator[dict[Setting, Worker]]:
    """A worker for each setting, groups apart; they load side by side and idle while another one is asked."""
    started: dict[Setting, Worker] = {}
    try:
        for setting in settings:
            started[setting] = Worker(work_folder, model, setting.engine, setting.layout)
        for worker in started.values():
            worker.wait_ready()
        yield started
    finally:
        for worker in started.values():
            worker.close()


def one_answer(module: str, *arguments: str, threads: int) -> dict[str, Any]:
    """What a module of this package prints, run in a process of its own. Raises BenchFailed."""
    command = (sys.executable, "-m", f"dialogue_predictor.bench.{module}", *arguments)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment(threads))
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise BenchFailed(f"{module}: {last or f'ended with status {done.returncode}'}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
