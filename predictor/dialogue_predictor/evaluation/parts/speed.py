"""How fast a model answers and what it needs, measured in a process of its own that does nothing else."""

import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch

from dialogue_predictor.backends.engines.linear import Precision
from dialogue_predictor.decoding.search import decode
from dialogue_predictor.evaluation.metrics import percentile
from dialogue_predictor.evaluation.report import Figure
from dialogue_predictor.evaluation.setting import Setting
from dialogue_predictor.evaluation.subject import BATCH, Source, open_subject

PART = "speed"
SINGLE = 50
WARM_UP = 3
MEBI = 2**20

Speeds = dict[str, float]


def speed(setting: Setting) -> Iterator[Figure]:
    """The first cases of every corpus: one at a time for the latency, then 32 at a time for the throughput."""
    most = min(SINGLE, setting.most)
    chosen = [case for corpus in setting.corpora.names() for case in setting.cases(corpus)[:most]]
    for who, subject in setting.subjects.items():
        sources = [subject.source(case.turns) for case in chosen]
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            speeds = process.submit(
                measure, subject.where, subject.precision, sources, torch.get_num_threads()
            ).result()
        units = {"tokens/s": "", "latency p50": " ms", "latency p95": " ms", "peak memory": " MiB"}
        for metric, value in speeds.items():
            data = "one at a time" if metric.startswith("latency") else f"{BATCH} at a time"
            yield Figure(PART, data, metric, who, value, len(sources), units[metric])
        yield Figure(PART, "size", "parameters", who, subject.facts["parameters"] / 1e6, unit=" M")
        if "bytes" in subject.facts:
            yield Figure(PART, "size", "weights", who, subject.facts["bytes"] / 1e6, unit=" MB")


def measure(where: str, precision: Precision, sources: Sequence[Source], threads: int) -> Speeds:
    """Milliseconds a request, tokens a second, and MiB at the peak: of the whole process, Python and torch included."""
    torch.set_num_threads(threads)
    subject = open_subject(where, precision)
    engine, options, ids = subject.engine, subject.options, subject.ids
    for source in sources[:WARM_UP]:
        decode(engine, [source], options, ids)
    single = []
    for source in sources:
        began = time.perf_counter()
        decode(engine, [source], options, ids)
        single.append(1000 * (time.perf_counter() - began))
    ordered = sorted(sources, key=len)
    tokens, began = 0, time.perf_counter()
    for start in range(0, len(ordered), BATCH):
        for outcome in decode(engine, ordered[start : start + BATCH], options, ids):
            tokens += len(outcome.best.tokens) + outcome.best.complete
    seconds = time.perf_counter() - began
    result = {
        "latency p50": percentile(single, 50),
        "latency p95": percentile(single, 95),
        "tokens/s": tokens / seconds,
    }
    return result | ({} if (peak := peak_bytes()) is None else {"peak memory": peak / MEBI})


def peak_bytes() -> int | None:
    """The most memory that this process has held; None where the system does not say so."""
    status = Path("/proc/self/status")  # not getrusage: that starts with the parent's peak
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii")) if status.exists() else None
    return int(found[1]) * 1024 if found else None
