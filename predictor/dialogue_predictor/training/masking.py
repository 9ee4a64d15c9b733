"""Masked sequences to pretrain on: spans of what was said disappear, and the encoder says what stood there.

Every chosen token becomes <mask>, without BERT's random and kept tenths (arXiv:1810.04805): they are there so that an
encoder that only ever saw masks does not mind their absence, and here the contrastive half reads every sequence whole as
well; nor do they help larger models (Wettig et al. 2023, arXiv:2202.08005).
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dialogue_predictor.text.special import MASK_ID, SPECIAL_TOKENS
from dialogue_predictor.training.batches import OnDevice, Pairs, masked_rows

LEAST, MOST = 0.15, 0.30
LONGEST_SPAN = 10
SPAN_ENDS = 0.2  # with each token: spans of 3.8 tokens on average, as SpanBERT's (arXiv:1907.10529)


@dataclass(frozen=True, slots=True)
class MaskedBatch(OnDevice):
    """original, masked [B, S] and mask [B, S], true on tokens; `chosen` [N]: the places masked, in the flattened batch.

    `units` is N, `tokens` what is read of one of the two sequences.
    """

    original: Tensor
    masked: Tensor
    mask: Tensor
    chosen: Tensor
    units: int
    tokens: int
    pairs: Pairs | None = None

    def __len__(self) -> int:
        return len(self.original)

    def rows(self, chosen: slice) -> "MaskedBatch":
        start, stop, _ = chosen.indices(len(self))
        width = self.original.shape[1]
        places = self.chosen[(self.chosen >= start * width) & (self.chosen < stop * width)] - start * width
        mask = self.mask[chosen]
        tokens = int(mask.sum())
        return MaskedBatch(self.original[chosen], self.masked[chosen], mask, places, len(places), tokens, self.pairs)


def collate_masked(sources: Sequence[Sequence[int]], draw: random.Random, pairs: Pairs | None = None) -> MaskedBatch:
    """Sources with at least one `maskable` token each."""
    original, mask = masked_rows(sources)
    width = original.shape[1]
    places = [row * width + at for row, source in enumerate(sources) for at in spans(source, draw)]
    chosen = torch.tensor(places)
    masked = original.clone()
    masked.view(-1)[chosen] = MASK_ID
    return MaskedBatch(original, masked, mask, chosen, len(places), sum(map(len, sources)), pairs)


def maskable(source: Sequence[int]) -> list[int]:
    """The places of what was said: neither roles nor ends."""
    return [at for at, token in enumerate(source) if token >= len(SPECIAL_TOKENS)]


def spans(source: Sequence[int], draw: random.Random) -> list[int]:
    """Places that 15–30 % of the words' tokens take, in spans: at least one, in order."""
    words = maskable(source)
    wanted = max(1, round(draw.uniform(LEAST, MOST) * len(words)))
    taken: set[int] = set()
    while len(taken) < wanted:
        start = draw.randrange(len(words))
        for at in words[start : start + min(span_length(draw), wanted - len(taken))]:
            taken.add(at)
    return sorted(taken)


def span_length(draw: random.Random) -> int:
    length = 1
    while length < LONGEST_SPAN and draw.random() >= SPAN_ENDS:
        length += 1
    return length


def masked_batches(
    lists: Iterable[Sequence[Sequence[int]]], seed: int, skip: int, pairs: Iterator[Pairs | None]
) -> Iterator[MaskedBatch]:
    """Batches of lists of sources, the first of them the `skip`-th; what is masked follows from seed and number."""
    for number, sources in enumerate(lists, start=skip):
        yield collate_masked(sources, random.Random(f"{seed}/masks/{number}"), next(pairs))
