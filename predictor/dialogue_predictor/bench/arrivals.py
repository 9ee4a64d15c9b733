"""`python -m dialogue_predictor.bench.arrivals`: what continuous batching does for those who arrive while others decode.

Requests arrive as a Poisson process at 80 % of what static batches get through when all are there at once. Both
backends serve the same arrivals over the same engine, one after the other; a round is a seed. Prints JSON.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dialogue_predictor.backends.base import GenerationRequest
from dialogue_predictor.backends.embedded import EmbeddedBackend, Limits
from dialogue_predictor.backends.engines.apart import apart
from dialogue_predictor.backends.engines.cpu import CpuEngine
from dialogue_predictor.bench.work import Work
from dialogue_predictor.decoding.options import GenerationOptions, TokenIds
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


class Replays:
    """One engine, and both backends over it."""

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

    async def rounds(self, seeds: Sequence[int]) -> dict[str, Any]:
        at_once = [0.0] * len(self.sources)
        await self.served(at_once, continuous=False)  # warms up
        rate = LOAD * len(self.sources) / max(await self.served(at_once, continuous=False))
        found: dict[str, list[float]] = {"static": [], "continuous": []}
        for seed in seeds:
            moments = poisson(rate, len(self.sources), random.Random(seed))
            for name, latencies in found.items():
                latencies.append(p95(await self.served(moments, continuous=name == "continuous")))
        return {"rate": rate, **found}


def main() -> int:
    reading = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reading.add_argument("--model", type=Path, required=True, help="a Hugging Face folder")
    reading.add_argument("--vocabulary", type=int, required=True, help="words without padding")
    reading.add_argument("--requests", type=int, required=True, help="of a round")
    reading.add_argument("--rounds", type=int, required=True)
    asked = reading.parse_args()
    replays = Replays(asked.model, asked.vocabulary, asked.requests)
    print(json.dumps(asyncio.run(replays.rounds(range(1, asked.rounds + 1)))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
