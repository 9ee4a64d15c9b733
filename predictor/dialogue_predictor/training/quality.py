"""What a number format costs in replies: chrF on dialogues that the model has not seen, engine by engine.

A faster engine may choose another reply where two are nearly as likely. Whether that matters cannot be seen in scores,
only in replies beside those that people gave.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import sacrebleu
import torch

from dialogue_predictor.artifacts.bundle import Bundle
from dialogue_predictor.artifacts.weights import load_model
from dialogue_predictor.backends.engines.choose import engine_for
from dialogue_predictor.backends.engines.linear import Precision
from dialogue_predictor.decoding.options import GenerationOptions, TokenIds
from dialogue_predictor.decoding.search import decode
from dialogue_predictor.text.tokenizer import Tokenizer
from dialogue_predictor.training.corpora import Dialogue, read_corpora
from dialogue_predictor.training.examples import Limits, encode_all

BATCH = 32
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "int8")


@dataclass(frozen=True)
class Quality:
    """Over the validation examples of one corpus. `same`: the share of replies that are those of the first precision."""

    corpus: str
    precision: Precision
    examples: int
    chrf: float
    same: float


def compare(
    bundle: Bundle, data: Path, most: int, precisions: Sequence[Precision] = PRECISIONS, seed: int = 0
) -> Iterator[Quality]:
    """Replies with the default options to at most `most` examples of each corpus.

    Raises FileNotFoundError when no corpus is under `data`.
    """
    tokenizer = Tokenizer.load(bundle.tokenizer_path)
    limits = Limits(max_source_tokens=min(Limits().max_source_tokens, bundle.architecture.max_positions))
    by_corpus: dict[str, list[Dialogue]] = {}
    for dialogue in read_corpora(data)["validation"]:
        by_corpus.setdefault(dialogue.corpus, []).append(dialogue)
    for corpus, dialogues in by_corpus.items():
        examples = encode_all(dialogues, tokenizer, limits)
        chosen = random.Random(seed).sample(examples, min(most, len(examples)))
        chosen.sort(key=lambda example: len(example.source))
        said_by_people = [tokenizer.decode(example.target) for example in chosen]
        first: list[str] = []
        for precision in precisions:
            said = replies(bundle, tokenizer, [example.source for example in chosen], precision)
            first = first or said
            chrf = sacrebleu.corpus_chrf(said, [said_by_people]).score
            same = sum(ours == theirs for ours, theirs in zip(said, first, strict=True)) / len(said)
            yield Quality(corpus, precision, len(said), chrf, same)


@torch.inference_mode()
def replies(
    bundle: Bundle, tokenizer: Tokenizer, sources: Sequence[tuple[int, ...]], precision: Precision
) -> list[str]:
    config = bundle.architecture
    ids = TokenIds(start=config.decoder_start_id, eos=config.eos_id, pad=config.pad_id)
    engine = engine_for(load_model(bundle), precision)
    said = []
    for start in range(0, len(sources), BATCH):
        outcomes = decode(engine, sources[start : start + BATCH], GenerationOptions(), ids)
        said += [tokenizer.decode(outcome.best.tokens) for outcome in outcomes]
    return said
