"""What the teacher itself says to the training sources: targets that a student finds easier to learn than people's.

Sequence-level interpolation (Kim and Rush 2016, arXiv:1606.07947): of a search's hypotheses the one that is most like what
a person replied, so that the student learns the teacher's way of saying what people say; the person's reply itself where no
hypothesis is sound. The file has a line of facts and then one for each example; what was written before an interruption is
kept.
"""

import hashlib
import json
import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch
from sacrebleu import sentence_chrf

from dialogue_predictor.artifacts.config import Compute
from dialogue_predictor.backends.engines.choose import engine_for
from dialogue_predictor.decoding.options import GenerationOptions, TokenIds
from dialogue_predictor.decoding.outcome import Hypothesis, Outcome
from dialogue_predictor.decoding.search import decode
from dialogue_predictor.inference.quality import degenerate
from dialogue_predictor.inference.request import Reply
from dialogue_predictor.model.transformer import DialogueTransformer
from dialogue_predictor.text.tokenizer import Tokenizer
from dialogue_predictor.training.data.examples import Example

BATCH = 32
CHUNK = 32 * BATCH  # sources of like length are decoded together, but a short file is still a fair sample
REPORT_EVERY = 20  # batches


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceOptions:
    """`examples` sources are answered with `num_beams` beams. A `length_penalty` above 1 because sums of log p favour the
    shortest hypotheses, and a student that learns from those is curt."""

    examples: int = 40_000
    num_beams: int = 4
    length_penalty: float = 1.5
    max_new_tokens: int = 48
    compute: Compute = "int8"
    seed: int = 0


def write_sequences(
    path: Path,
    teacher: DialogueTransformer,
    tokenizer: Tokenizer,
    examples: Sequence[Example],
    options: SequenceOptions,
    say: Callable[[str], None] = print,
) -> int:
    """Answer the examples' sources into the file, going on behind what is there; returns how many were answered now.

    Uses the teacher up. Raises ValueError when the file is of another teacher, tokenizer or choice of examples.
    """
    ordered = in_chunks(examples)
    facts = {
        "teacher": fingerprint(teacher),
        "tokenizer": tokens_of(tokenizer),
        "sources": hashlib.sha256(repr([one.source for one in ordered[:CHUNK]]).encode()).hexdigest(),
        "num_beams": options.num_beams,
        "length_penalty": options.length_penalty,
        "max_new_tokens": options.max_new_tokens,
    }
    done = resumed(path, facts)
    config = teacher.config
    ids = TokenIds(start=config.decoder_start_id, eos=config.eos_id, pad=config.pad_id)
    search = GenerationOptions(
        num_beams=options.num_beams,
        max_new_tokens=min(options.max_new_tokens, config.max_positions),
        length_penalty=options.length_penalty,
    )
    engine = engine_for(teacher, options.compute)
    with path.open("a", encoding="utf-8") as file, torch.inference_mode():
        for number, start in enumerate(range(done, len(ordered), BATCH)):
            chosen = ordered[start : start + BATCH]
            outcomes = decode(engine, [one.source for one in chosen], search, ids)
            for one, outcome in zip(chosen, outcomes, strict=True):
                best = closest(outcome, tokenizer.decode(list(one.target)), tokenizer)
                target = [*best.tokens, config.eos_id] if best else one.target
                file.write(json.dumps({"source": one.source, "target": target, "language": one.language}) + "\n")
            file.flush()
            if number % REPORT_EVERY == 0:
                say(f"{start + len(chosen):,} of {len(ordered):,} sources answered")
    return len(ordered) - min(done, len(ordered))


def closest(outcome: Outcome, people: str, tokenizer: Tokenizer) -> Hypothesis | None:
    """The sound hypothesis with the best chrF to a person's reply, the first of equals; None where all are degenerate."""
    scored = [
        (sentence_chrf(text, [people]).score, one)
        for one in outcome.hypotheses
        for text in [tokenizer.decode(one.tokens)]
        if not degenerate(Reply(text, 0.0, 0, 0, 0, False, "stop" if one.complete else "length"), people)
    ]
    return max(scored, key=itemgetter(0))[1] if scored else None


def in_chunks(examples: Sequence[Example]) -> list[Example]:
    """The same examples, sorted by length within each chunk."""
    chunks = [examples[start : start + CHUNK] for start in range(0, len(examples), CHUNK)]
    return [one for chunk in chunks for one in sorted(chunk, key=lambda example: len(example.source))]


def resumed(path: Path, facts: Mapping[str, Any]) -> int:
    """How many examples the file has, after cutting a line that was not finished; begins it where there is none."""
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    whole = [line for line in lines if line.endswith(b"\n")]
    if not whole:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"facts": facts}) + "\n", encoding="utf-8")
        return 0
    has = facts_of(path, whole[0])
    for name, value in facts.items():
        if has.get(name) != value:
            raise ValueError(f"{path} was written with another {name}: choose another file, or delete this one")
    if len(whole) < len(lines):
        path.write_bytes(b"".join(whole))
    return len(whole) - 1


def read_sequences(path: Path, tokenizer: Tokenizer) -> list[Example]:
    """The examples with the teacher's targets; empty ones are left out.

    Raises ValueError naming file and line, or when the file is of another tokenizer.
    """
    lines = path.read_bytes().splitlines()
    if not lines or facts_of(path, lines[0]).get("tokenizer") != tokens_of(tokenizer):
        raise ValueError(f"{path} is of another tokenizer than the student's: write the sequences with its teacher")
    examples: list[Example] = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            one = json.loads(line)
            example = Example(tuple(one["source"]), tuple(one["target"]), one["language"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path}, line {number}: not an example ({error!r}); delete it or write it anew"
            ) from error
        if len(example.target) > 1:
            examples.append(example)
    if not examples:
        raise ValueError(f"{path} has no example: write the sequences first")
    return examples


def facts_of(path: Path, line: bytes) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads(line)["facts"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: its first line is not that of a teacher's sequences") from error
    return facts


def shuffled(examples: Sequence[Example], size: int, seed: int) -> list[Example]:
    """`size` of the examples, or all, in an order of their own."""
    return random.Random(seed).sample(list(examples), min(size, len(examples)))


def fingerprint(model: DialogueTransformer) -> str:
    """Of all weights."""
    whole = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        whole.update(name.encode() + value.detach().float().contiguous().numpy().tobytes())
    return whole.hexdigest()


def tokens_of(tokenizer: Tokenizer) -> str:
    """A fingerprint of the tokenizer."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        tokenizer.save(path)
        return hashlib.sha256(path.read_bytes()).hexdigest()
