"""`python -m dialogue_predictor.bench.worker`: one engine in a process of its own, jobs and answers as lines of JSON.

The first answer tells of loading. A job `{"work": {…}, "group": 0, "repeat": 1, "outputs": false}` is answered with
seconds a run, tokens of a run, and the highest memory of the process so far; a fault with `{"error": …}` and the end.
"""

import argparse
import importlib
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from dialogue_predictor.bench.peers import Engine, libraries, opener
from dialogue_predictor.bench.settings import Layout
from dialogue_predictor.bench.work import Work


def peak_mib() -> float:
    """The most memory that this process has held, in MiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


def answers(jobs: IO[str], asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    open_engine = opener(asked.engine, asked.model, asked.layout, asked.vocabulary)
    for library in libraries(asked.engine):
        importlib.import_module(library)
    library_mib, began = peak_mib(), time.perf_counter()
    engine = open_engine()
    yield {"library_mib": library_mib, "load_seconds": time.perf_counter() - began}
    for line in jobs:
        job = json.loads(line)
        yield run(engine, Work(**job["work"]), job["group"], job["repeat"], asked.vocabulary, job["outputs"])


def run(engine: Engine, work: Work, group: int, repeat: int, vocabulary: int, outputs: bool) -> dict[str, Any]:
    sources = work.sources(vocabulary)
    began = time.perf_counter()
    for _ in range(repeat):
        found = engine.decode(sources, work, group)
    seconds = (time.perf_counter() - began) / repeat
    answer = {"seconds": seconds, "tokens": sum(map(len, found)), "peak_mib": peak_mib()}
    return answer | ({"outputs": found} if outputs else {})


def main() -> int:
    reading = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reading.add_argument("engine")
    reading.add_argument("--model", type=Path, required=True, help="the engine's folder")
    reading.add_argument("--layout", type=Layout.parse, required=True)
    reading.add_argument("--vocabulary", type=int, required=True, help="words without padding")
    asked = reading.parse_args()
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)  # what libraries print is no answer
        try:
            for answer in answers(sys.stdin, asked):
                print(json.dumps(answer), file=out, flush=True)
        except Exception as error:
            print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=out, flush=True)
            raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
