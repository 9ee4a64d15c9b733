"""`python -m dialogue_predictor.bench.arrivals`: what continuous batching does for those who arrive while others decode.

Requests arrive as a Poisson process at 80 % of what a server with static batches gets through when all are there at once.
It and the server with continuous batches answer the same arrivals over the same engine, one after the other; a round is
a seed. Prints JSON.

A static server decodes whoever is there, up to a full batch, and lets newcomers wait meanwhile. The usual one, to which
Yu et al. compare iteration-level scheduling (Orca, OSDI 2022), answers a batch when its last reply is done, and finished
rows are computed until then, as by Hugging Face's `generate`. With `--leaving` it is a stronger one: our own scheduler with
nobody admitted while it decodes, whose replies are sent when they are done and whose rows leave the batch.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from dialogue_predictor.backends.base import GenerationRequest
from dialogue_predictor.backends.embedded import EmbeddedBackend
from dialogue_predictor.backends.engines.apart import apart
from dialogue_predictor.backends.engines.cpu import CpuEngine
from dialogue_predictor.backends.limits import Limits
from dialogue_predictor.bench.work import Work
from dialogue_predictor.decoding.beam import begin, done
from dialogue_predictor.decoding.options import GenerationOptions, TokenIds
from dialogue_predictor.decoding.outcome import Outcome
from dialogue_predictor.decoding.reading import outcome_of
from dialogue_predictor.decoding.rules import Rules
from dialogue_predictor.decoding.search import padded
from dialogue_predictor.decoding.turn import turn
from dialogue_predictor.model.config import ModelConfig
from dialogue_predictor.model.families.loading import load_hugging_face

BATCH = 32
LOAD = 0.8
WORK = Work(batch=BATCH, source=64, target=48, uneven=True)
OPTIONS = GenerationOptions(
    num_beams=WORK.beams, max_new_tokens=WORK.target, no_repeat_ngram=0, early_stopping=WORK.uneven
)


def poisson(rate: float, count: int, dice: random.Random) -> list[float]:
    """Moments of arrival in seconds after the start, of a mean `rate` a second."""
    moment, moments = 0.0, []
    for _ in range(count):
        moment += dice.expovariate(rate)
        moments.append(moment)
    return moments


def p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


async def replay(
    backend: EmbeddedBackend[Any], sources: Sequence[Sequence[int]], moments: Sequence[float]
) -> list[float]:
    """The seconds from each one's moment of arrival to its reply."""
    began = time.perf_counter()

    async def one(source: Sequence[int], moment: float) -> float:
        await asyncio.sleep(max(0.0, began + moment - time.perf_counter()))
        await backend.generate(GenerationRequest(tuple(source), OPTIONS))
        return time.perf_counter() - began - moment

    return await asyncio.gather(*(one(source, moment) for source, moment in zip(sources, moments, strict=True)))


def replay_whole(
    decode: Callable[[Sequence[Sequence[int]]], object], sources: Sequence[Sequence[int]], moments: Sequence[float]
) -> list[float]:
    """The same for a server whose batches are answered as a whole: `moments` in order, up to BATCH of those who have come
    at a time."""
    latencies: list[float] = []
    began = time.perf_counter()
    while (first := len(latencies)) < len(sources):
        now = time.perf_counter() - began
        here = sources[first : min(first + BATCH, bisect_right(moments, now))]
        if here:
            decode(here)
            ended = time.perf_counter() - began
            latencies += [ended - moment for moment in moments[first : first + len(here)]]
        else:
            time.sleep(max(0.0, moments[first] - now))
    return latencies


def decode_whole(engine: CpuEngine, sources: Sequence[Sequence[int]], ids: TokenIds) -> list[Outcome]:
    """All replies at once; nobody's rows leave before the last one's are done."""
    device = torch.device("cpu")
    rules = Rules.of(OPTIONS, ids, device)
    beams, state = begin([0] * len(sources), OPTIONS, ids, device), engine.encode(*padded(sources, ids.pad, device))
    beams, state = turn(engine, state, beams, rules, first=True)
    while not bool(done(beams, OPTIONS).all()):
        beams, state = turn(engine, state, beams, rules)
    return [outcome_of(beams, row, OPTIONS, ids.eos) for row in range(len(sources))]


class Replays:
    """One engine, and the servers over it."""

    def __init__(self, folder: Path, vocabulary: int, requests: int) -> None:
        def load() -> tuple[ModelConfig, CpuEngine]:
            model = load_hugging_face(folder)
            return model.config, CpuEngine(model, "fp32", release=True)

        config, self.engine = apart(load)
        self.ids = TokenIds(start=config.decoder_start_id, eos=config.eos_id, pad=config.pad_id)
        self.limits = Limits(vocab_size=config.vocab_size, max_positions=config.max_positions)
        self.sources = Work(batch=requests, source=WORK.source, uneven=True).sources(vocabulary)

    async def served(self, moments: Sequence[float], *, continuous: bool) -> list[float]:
        backend = EmbeddedBackend(
            self.engine,
            self.ids,
            self.limits,
            max_batch_size=BATCH,
            max_queue=len(self.sources),
            continuous=continuous,
        )
        try:
            return await replay(backend, self.sources, moments)
        finally:
            await backend.close()

    def served_whole(self, moments: Sequence[float]) -> list[float]:
        return apart(lambda: replay_whole(partial(decode_whole, self.engine, ids=self.ids), self.sources, moments))

    async def rounds(self, seeds: Sequence[int], *, leaving: bool) -> dict[str, Any]:
        async def static(moments: Sequence[float]) -> list[float]:
            return await self.served(moments, continuous=False) if leaving else self.served_whole(moments)

        at_once = [0.0] * len(self.sources)
        await static(at_once)  # warms up
        rate = LOAD * len(self.sources) / max(await static(at_once))
        found: dict[str, list[float]] = {"static": [], "continuous": []}
        for seed in seeds:
            moments = poisson(rate, len(self.sources), random.Random(seed))
            found["static"].append(p95(await static(moments)))
            found["continuous"].append(p95(await self.served(moments, continuous=True)))
        return {"rate": rate, **found}


def main() -> int:
    reading = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reading.add_argument("--model", type=Path, required=True, help="a Hugging Face folder")
    reading.add_argument("--vocabulary", type=int, required=True, help="words without padding")
    reading.add_argument("--requests", type=int, required=True, help="of a round")
    reading.add_argument("--rounds", type=int, required=True)
    reading.add_argument("--leaving", action="store_true", help="replies leave static batches when they are done")
    asked = reading.parse_args()
    replays = Replays(asked.model, asked.vocabulary, asked.requests)
    print(json.dumps(asyncio.run(replays.rounds(range(1, asked.rounds + 1), leaving=asked.leaving))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
