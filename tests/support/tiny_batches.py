"""Batches of random tokens."""

import random

from dialogue_predictor.training.batches import Batch, collate
from dialogue_predictor.training.data.examples import Example
from support.tiny_models import random_sources


def examples(count: int = 24, seed: int = 1) -> list[Example]:
    dice = random.Random(seed)
    targets = random_sources(dice, count, longest=8)
    sources = random_sources(dice, count)
    return [Example(tuple(source), tuple(target), "en") for source, target in zip(sources, targets, strict=True)]


def batch_of(given: list[Example]) -> Batch:
    return collate(given, 2)
