"""What a step of compression costs and gains: size, speed and quality of a model before and after it.

Speed and replies come from the engine that a predictor would use, perplexity from the weights as they are stored.
"""

import copy
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from dialogue_predictor.artifacts.config import Compute, WeightFormat
from dialogue_predictor.artifacts.weights import save_weights
from dialogue_predictor.backends.engines.choose import engine_for
from dialogue_predictor.decoding.options import GenerationOptions, TokenIds
from dialogue_predictor.decoding.search import decode
from dialogue_predictor.evaluation.metrics import chrf
from dialogue_predictor.model.transformer import DialogueTransformer
from dialogue_predictor.text.tokenizer import Tokenizer
from dialogue_predictor.training.data.examples import Example
from dialogue_predictor.training.evaluate import perplexity
from dialogue_predictor.training.observers import Observer
from dialogue_predictor.training.run import REPORT, load_start, read_json, write_json

BATCH = 32
MOST_TOKENS = 48
ROWS: tuple[tuple[str, str], ...] = (
    ("bytes", ",d"),
    ("parameters", ",d"),
    ("nonzero", ",d"),
    ("tokens_per_second", ",.0f"),
    ("perplexity", ".2f"),
    ("chrf", ".2f"),
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model, and how a bundle of it would store it and compute with it."""

    name: str
    model: DialogueTransformer
    weights: WeightFormat = "fp16"
    compute: Compute = "fp32"


@dataclass(frozen=True, slots=True)
class Measured:
    """`bytes` of the weights' file; `nonzero` parameters; `tokens_per_second` said by beam search in batches of 32;
    `perplexity` a token and `chrf` (0..100) of the replies, against those of people."""

    name: str
    weights: WeightFormat
    compute: Compute
    bytes: int
    parameters: int
    nonzero: int
    tokens_per_second: float
    perplexity: float
    chrf: float


@dataclass(frozen=True, slots=True)
class Comparison:
    before: Measured
    after: Measured
    examples: int

    def to_dict(self) -> dict[str, Any]:
        """For `report.json`, under "compression"."""
        return asdict(self)

    def table(self) -> str:
        """Markdown."""
        before, after = asdict(self.before), asdict(self.after)
        heads = [f"{one['name']} ({one['weights']}, computed in {one['compute']})" for one in (before, after)]
        lines = [f"| over {self.examples} replies | {heads[0]} | {heads[1]} | ratio |", "| --- | ---: | ---: | ---: |"]
        for row, form in ROWS:
            ratio = f"{after[row] / before[row]:.3f}" if before[row] else "–"
            lines.append(f"| {row.replace('_', ' ')} | {before[row]:{form}} | {after[row]:{form}} | {ratio} |")
        return "\n".join(lines)


def compare(before: Candidate, after: Candidate, sample: Sequence[Example], tokenizer: Tokenizer) -> Comparison:
    """Both on the same examples. Neither model is changed. Raises ValueError on no example."""
    if not sample:
        raise ValueError("there is no validation example to compare models on")
    return Comparison(measure(before, sample, tokenizer), measure(after, sample, tokenizer), len(sample))


def report_comparison(
    run: Path,
    before: Candidate,
    name: str,
    sample: Sequence[Example],
    tokenizer: Tokenizer,
    observer: Observer,
    weights: WeightFormat = "fp16",
    compute: Compute = "fp32",
) -> Comparison:
    """Compare a finished run with what it was made of: printed, and kept in the run's report."""
    model, _ = load_start(run)
    comparison = compare(before, Candidate(name, model, weights, compute), sample, tokenizer)
    write_json(run / REPORT, read_json(run / REPORT) | {"compression": comparison.to_dict()})
    observer.say(comparison.table())
    return comparison


def measure(candidate: Candidate, sample: Sequence[Example], tokenizer: Tokenizer) -> Measured:
    model = candidate.model.cpu()
    parameters = list(model.parameters())
    said, speed = replies(candidate, [example.source for example in sample])
    people = [tokenizer.decode(example.target) for example in sample]
    return Measured(
        candidate.name,
        candidate.weights,
        candidate.compute,
        bytes=stored_bytes(candidate),
        parameters=sum(value.numel() for value in parameters),
        nonzero=sum(int(value.count_nonzero()) for value in parameters),
        tokens_per_second=speed,
        perplexity=perplexity(model, sample),
        chrf=chrf([tokenizer.decode(tokens) for tokens in said], people),
    )


def stored_bytes(candidate: Candidate) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights"
        save_weights(candidate.model.state_dict(), path, candidate.weights)
        return path.stat().st_size


@torch.inference_mode()
def replies(
    candidate: Candidate, sources: Sequence[tuple[int, ...]], clock: Callable[[], float] = time.perf_counter
) -> tuple[list[tuple[int, ...]], float]:
    """What the model says to each source, and how many tokens a second it says; the first batch warms up untimed."""
    config = candidate.model.config
    ids = TokenIds(start=config.decoder_start_id, eos=config.eos_id, pad=config.pad_id)
    options = GenerationOptions(max_new_tokens=min(MOST_TOKENS, config.max_positions))
    engine = engine_for(copy.deepcopy(candidate.model).eval(), candidate.compute)
    order = sorted(range(len(sources)), key=lambda index: len(sources[index]))
    decode(engine, [sources[index] for index in order[:BATCH]], options, ids)
    said: dict[int, tuple[int, ...]] = {}
    began = clock()
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        outcomes = decode(engine, [sources[index] for index in chosen], options, ids)
        said |= {index: outcome.best.tokens for index, outcome in zip(chosen, outcomes, strict=True)}
    tokens = sum(len(one) + 1 for one in said.values())
    return [said[index] for index in range(len(sources))], tokens / max(clock() - began, 1e-9)
