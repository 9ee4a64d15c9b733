"""Batches of examples of like length, bounded by tokens: little padding, steady memory, few shapes.

An epoch is cut into pools, each sorted by length and cut into batches whose padded size stays under the bound; the
batches are shuffled. All of it follows from a seed and the epoch's number, so a resumed run sees the same batches.

oneDNN compiles a kernel for every shape that a product has, which takes as long as some of a small model's steps do. So
widths and rows are multiples of a few numbers: then the kernels that are kept are soon all that there are.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor

from dialogue_predictor.text.special import PAD_ID
from dialogue_predictor.training.data.examples import SOURCE_STEP, Example

POOL = 8192
TARGET_STEP = 8
ROWS_STEP = 8
IGNORE = -100


class OnDevice:
    """A frozen dataclass whose tensors move together."""

    __slots__ = ()

    def to(self, device: torch.device) -> Self:
        moved: dict[str, Any] = {}
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                moved[field.name] = value.to(device, non_blocking=True)
            elif isinstance(value, OnDevice):
                moved[field.name] = value.to(device)
        return replace(self, **moved)  # type: ignore[type-var]


@dataclass(frozen=True, slots=True)
class Pairs(OnDevice):
    """Sentences [B, S] and [B, T] that mean the same row by row; `same` [B, B], symmetric, where further ones do."""

    first: Tensor
    first_mask: Tensor
    second: Tensor
    second_mask: Tensor
    same: Tensor


@dataclass(frozen=True, slots=True)
class Batch(OnDevice):
    """source [B, S] · source_mask [B, S], true on tokens · target_in, target_out [B, T], padding −100 in the latter.

    `units` counts target tokens, `tokens` those of the source too. `pairs` teach sentence vectors at the same time.
    """

    source: Tensor
    source_mask: Tensor
    target_in: Tensor
    target_out: Tensor
    units: int
    tokens: int
    pairs: Pairs | None = None

    def __len__(self) -> int:
        return len(self.source)

    def rows(self, chosen: slice) -> "Batch":
        """Some of the rows, with all of the pairs: as often as there are parts, their mean is the whole's."""
        source_mask, target_out = self.source_mask[chosen], self.target_out[chosen]
        units = int((target_out != IGNORE).sum())
        tokens = units + int(source_mask.sum())
        return Batch(self.source[chosen], source_mask, self.target_in[chosen], target_out, units, tokens, self.pairs)


def collate(examples: Sequence[Example], decoder_start_id: int, pairs: Pairs | None = None) -> Batch:
    source, source_mask = masked_rows([example.source for example in examples])
    target_in = padded([(decoder_start_id, *example.target[:-1]) for example in examples], PAD_ID, TARGET_STEP)
    target_out = padded([example.target for example in examples], IGNORE, TARGET_STEP)
    units = sum(len(example.target) for example in examples)
    tokens = units + sum(len(example.source) for example in examples)
    return Batch(source, source_mask, target_in, target_out, units, tokens, pairs)


def masked_rows(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Ids [B, S] and a mask [B, S], true on tokens."""
    ids = padded(rows, PAD_ID, SOURCE_STEP)
    return ids, ids != PAD_ID


def padded(rows: Sequence[Sequence[int]], fill: int, step: int) -> Tensor:
    """Rows as one tensor, filled up to a multiple of `step`."""
    width = raised(max(len(row) for row in rows), step)
    return torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows])


def raised(length: int, step: int) -> int:
    """To a multiple of `step`."""
    return -(-length // step) * step


def bucketed(examples: Sequence[Example], max_tokens: int, draw: random.Random) -> list[list[Example]]:
    """Lists of examples whose padded source and target together stay within `max_tokens`."""
    lists: list[list[Example]] = []
    for start in range(0, len(examples), POOL):
        pool = sorted(examples[start : start + POOL], key=by_length)
        while pool:
            count = fitting(pool, max_tokens)
            lists.append(pool[:count])
            pool = pool[count:]
    draw.shuffle(lists)
    return lists


def fitting(pool: Sequence[Example], max_tokens: int) -> int:
    """How many of the first examples make a batch: a multiple of `ROWS_STEP` where there are more, but at least one."""
    source = target = 0
    for count, example in enumerate(pool):
        source = max(source, raised(len(example.source), SOURCE_STEP))
        target = max(target, raised(len(example.target), TARGET_STEP))
        if count and (source + target) * (count + 1) > max_tokens:
            return count - count % ROWS_STEP or count
    return len(pool)


def by_length(example: Example) -> tuple[int, int]:
    """Sources of about the same length stay together, ordered by target among themselves."""
    return raised(len(example.source), SOURCE_STEP), len(example.target)


Epoch = Callable[[random.Random], Sequence[Example]]


def endless(epoch: Epoch, max_tokens: int, seed: int, skip: int = 0) -> Iterator[list[Example]]:
    """Batches for ever, epoch after epoch, without the first `skip`: where a resumed run goes on."""
    number = 0
    while True:
        draw = random.Random(f"{seed}/{number}")
        lists = bucketed(epoch(draw), max_tokens, draw)
        yield from lists[skip:]
        skip = max(0, skip - len(lists))
        number += 1
