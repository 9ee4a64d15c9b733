"""Batched search step by step: a model's state and the beams' state, moved on together.

The caller drives it, so that between two steps it can stream what is settled, let a cancelled source go, or
stop. Sources that have their outcome leave the batch, a quarter of it at a time.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Generic

import torch
from torch import Tensor

from dialogue_predictor.decoding.beam import ABSENT, BeamState, advance, begin, done, keep
from dialogue_predictor.decoding.options import GenerationOptions, TokenIds
from dialogue_predictor.decoding.outcome import Hypothesis, Outcome, Progress
from dialogue_predictor.decoding.seam import State, StepModel
from dialogue_predictor.decoding.stable import stable_lengths

COMPACT_FROM = 0.25


class Search(Generic[State]):
    """The search for the replies to some sources, all with the same options.

    `watched` sources report their settled tokens after every step, the others only their outcome.
    """

    @torch.inference_mode()
    def __init__(
        self,
        model: StepModel[State],
        sources: Sequence[Sequence[int]],
        options: GenerationOptions,
        ids: TokenIds,
        *,
        watched: Collection[int] = (),
        device: torch.device | None = None,
    ) -> None:
        """Raises ValueError on an empty source."""
        device = device or torch.device("cpu")
        self._model, self._options, self._ids = model, options, ids
        self._told = dict.fromkeys(watched, 0)
        self._rows = list(range(len(sources)))  # the source in each row of the batch
        self._active = set(self._rows)
        if sources:
            source, mask = padded(sources, ids.pad, device)
            self._beams = begin(len(sources), options, ids, device)
            self._latest = self._beams.live_tokens[:, :1, 0]  # [B, 1]: the first step needs one beam only
            self._state = model.encode(source, mask)

    @property
    def active(self) -> frozenset[int]:
        """The sources still searched for."""
        return frozenset(self._active)

    def drop(self, sources: Iterable[int]) -> None:
        """Lets sources go without an outcome."""
        self._active.difference_update(sources)

    @torch.inference_mode()
    def advance(self) -> list[Progress]:
        """One token more for every active source."""
        if not self._active:
            return []
        logits, model_state = self._model.step(self._state, self._latest)
        self._beams, parents = advance(self._beams, logits, self._options, self._ids)
        given = self._latest.shape[1]
        offsets = torch.arange(len(self._rows), device=parents.device)[:, None] * given
        index = offsets + parents.clamp(max=given - 1)  # in the first step every parent is the one beam
        news = self._news()
        rows = self._remaining()
        if rows is not None:
            self._beams, index = keep(self._beams, rows), index[rows]
        if self._active:
            self._latest = self._beams.live_tokens[:, :, self._beams.step]
            self._state = self._model.reorder(model_state, index)
        return news

    def _news(self) -> list[Progress]:
        broken = self._beams.broken.tolist()
        news = [Progress(self._rows[row], (), broken=True) for row in self._lively(broken)]
        self._active.difference_update(progress.source for progress in news)
        ended = [self._final(row) for row in self._lively(done(self._beams, self._options).tolist())]
        self._active.difference_update(progress.source for progress in ended)
        news += ended
        if not self._active.isdisjoint(self._told):
            lengths, tokens = stable_lengths(self._beams, self._options)
            for row, length in enumerate(lengths.tolist()):
                source = self._rows[row]
                if source in self._active and length > self._told.get(source, length):
                    news.append(self._more(source, tokens[row, 1 : 1 + length].tolist()))
        return news

    def _lively(self, flags: list[bool]) -> list[int]:
        """The rows with a flag whose source is still searched for."""
        return [row for row, flag in enumerate(flags) if flag and self._rows[row] in self._active]

    def _more(self, source: int, settled: list[int], outcome: Outcome | None = None) -> Progress:
        told = self._told.get(source, 0)
        self._told[source] = len(settled)
        return Progress(source, tuple(settled[told:]), outcome)

    def _final(self, row: int) -> Progress:
        outcome = outcome_of(self._beams, row, self._options, self._ids.eos)
        return self._more(self._rows[row], list(outcome.best.tokens), outcome)

    def _remaining(self) -> Tensor | None:
        """The rows to keep, once enough have nothing left to do."""
        rows = [row for row, source in enumerate(self._rows) if source in self._active]
        if not rows or len(self._rows) - len(rows) < max(1, COMPACT_FROM * len(self._rows)):
            return None
        self._rows = [self._rows[row] for row in rows]
        return torch.tensor(rows, device=self._latest.device)


def decode(
    model: StepModel[State],
    sources: Sequence[Sequence[int]],
    options: GenerationOptions,
    ids: TokenIds,
    device: torch.device | None = None,
) -> list[Outcome]:
    """The outcomes of all sources, in order. Raises ValueError on an empty source, ArithmeticError where the model's
    scores are no numbers."""
    search = Search(model, sources, options, ids, device=device)
    outcomes: dict[int, Outcome] = {}
    while search.active:
        for progress in search.advance():
            if progress.broken:
                raise ArithmeticError("the model's scores are not finite")
            if progress.outcome is not None:
                outcomes[progress.source] = progress.outcome
    return [outcomes[source] for source in range(len(sources))]


def outcome_of(beams: BeamState, row: int, options: GenerationOptions, eos: int) -> Outcome:
    """A source's finished hypotheses; an empty one should the constraints have left none possible.

    Where fewer continuations than beams were possible, as after a forced token, the remaining beams are
    copies that only fill the shape; they carry an absent beam's score and are left out.
    """
    slots = zip(
        beams.is_finished[row].tolist(),
        beams.finished_tokens[row].tolist(),
        beams.finished_lengths[row].tolist(),
        beams.finished_scores[row].tolist(),
        strict=True,
    )
    found = [
        hypothesis(tokens[1 : 1 + length], score, eos)
        for there, tokens, length, score in slots
        if there and score * math.pow(length, options.length_penalty) > ABSENT / 2
    ]
    return Outcome(tuple(found) or (Hypothesis((), float("-inf"), complete=False),))


def hypothesis(tokens: list[int], score: float, eos: int) -> Hypothesis:
    complete = tokens[-1] == eos
    return Hypothesis(tuple(tokens[:-1] if complete else tokens), score, complete)


def padded(sources: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Source ids and mask [B, S], padded on the right."""
    if not all(sources):
        raise ValueError("a source must have at least one token")
    longest = max(map(len, sources))
    source = torch.tensor([[*ids, *[pad] * (longest - len(ids))] for ids in sources], device=device)
    lengths = torch.tensor([len(ids) for ids in sources], device=device)
    return source, torch.arange(longest, device=device) < lengths[:, None]
