"""Batched search step by step: a model's state and the beams' state, moved on together, for sources that come and go.

The caller drives it, so that between two steps it can stream what is settled, admit new sources, let a cancelled one
go, or stop. Sources that have their outcome leave the batch, a quarter of it at a time.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Generic

import torch
from torch import Tensor

from dialogue_predictor.decoding.beam import BeamState, begin, done, join, keep, seat
from dialogue_predictor.decoding.options import GenerationOptions, TokenIds
from dialogue_predictor.decoding.outcome import Outcome, Progress
from dialogue_predictor.decoding.reading import outcome_of
from dialogue_predictor.decoding.rules import Rules
from dialogue_predictor.decoding.seam import State, StepModel
from dialogue_predictor.decoding.stable import stable_lengths
from dialogue_predictor.decoding.turn import turn

COMPACT_FROM = 0.25
NOBODY = -1  # the source of a row that only fills the batch up


class Search(Generic[State]):
    """Replies to sources that come and go, all with the same options.

    What the model raises in `admit` concerns the newcomers alone. After an exception in `advance` what was searched for
    is lost: begin a new search.
    """

    def __init__(
        self, model: StepModel[State], options: GenerationOptions, ids: TokenIds, *, device: torch.device | None = None
    ) -> None:
        own: torch.device = getattr(model, "device", torch.device("cpu"))
        self._device = device or own
        self._model, self._options, self._ids = model, options, ids
        self._rules = Rules.of(options, ids, self._device)
        self._turn: Callable[[State, BeamState, Rules], tuple[BeamState, State]]
        self._turn = getattr(model, "turn", None) or partial(turn, model)
        self._filled: Callable[[int], int] | None = getattr(model, "rows", None)
        self._seat: Callable[[State, Tensor, State], State] | None = getattr(model, "seat", None)
        self._turns_per_look: int = getattr(model, "turns_per_look", 1)
        self._admitted = 0
        self._active: set[int] = set()
        self._told: dict[int, int] = {}  # how many tokens each watched source has been told
        self._rows: list[int] = []  # the source in each row of the batch
        self._batch: tuple[BeamState, State] | None = None
        self.unseen = False  # whether the next `advance` only tells of a first step that has been taken

    @property
    def active(self) -> frozenset[int]:
        """The sources still searched for."""
        return frozenset(self._active)

    @torch.inference_mode()
    def admit(
        self, sources: Sequence[Sequence[int]], *, watched: Collection[int] = (), seeds: Sequence[int] | None = None
    ) -> list[int]:
        """Encodes new sources and lets them join the others → the numbers to know them by.

        Where there are no others they take their first step at once, with one beam a source, as all are alike; among
        others all beams take it with the next `advance`, which tells the news of both. `watched` positions in `sources`
        report their settled tokens as they settle, the others only their outcome. `seeds` matter to sampling alone.
        Raises ValueError on an empty source.
        """
        if not sources:
            return []
        if seeds is not None and len(seeds) != len(sources):
            raise ValueError(f"seeds must be as many as sources: {len(seeds)} for {len(sources)}")
        source, mask = padded(sources, self._ids.pad, self._device)
        state = self._model.encode(source, mask)
        beams = begin([0] * len(sources) if seeds is None else seeds, self._options, self._ids, self._device)
        alone = not self._active
        if alone:
            beams, state = turn(self._model, state, beams, self._rules, first=True)
        else:
            repeated = torch.arange(len(sources), device=self._device)[:, None].expand(-1, self._options.num_beams)
            state = self._model.reorder(state, repeated)
        numbers = list(range(self._admitted, self._admitted + len(sources)))
        self._admitted += len(sources)
        self._join((beams, state), numbers)
        self._active.update(numbers)
        self._told.update((numbers[position], 0) for position in watched)
        self.unseen = self.unseen or alone
        return numbers

    def drop(self, sources: Iterable[int]) -> None:
        """Lets sources go without an outcome."""
        for source in sources:
            self._forget(source)

    @torch.inference_mode()
    def advance(self) -> list[Progress]:
        """One token more for every active source → the news.

        After an `admit` that took a first step it takes none, but tells of that one, so that nobody waits for it.
        """
        self._leave()
        if self._batch is None:
            return []
        beams, state = self._batch
        if not self.unseen:
            for _ in range(self._turns_per_look):
                beams, state = self._turn(state, beams, self._rules)
            self._batch = beams, state
        self.unseen = False
        news = self._news(beams)
        if not self._active:
            self._rows, self._batch = [], None
        return news

    def _news(self, beams: BeamState) -> list[Progress]:
        over = done(beams, self._options)
        flags = torch.stack((beams.broken, over)).view(2, len(self._rows), -1)  # [2, B, G]
        broken, ended = torch.stack((flags[0].any(dim=1), flags[1].all(dim=1))).tolist()
        news = [self._broken(row) for row in self._lively(broken)]
        news += [self._final(beams, row) for row in self._lively(ended)]
        if self._told:
            news += self._settled(beams)
        return news

    def _settled(self, beams: BeamState) -> list[Progress]:
        news = []
        lengths, tokens = stable_lengths(beams, self._options)
        read = torch.cat((lengths[:, None], tokens), dim=1).cpu()  # one wait for the device
        for source, length, row in zip(self._rows, read[:, 0].tolist(), read[:, 2:], strict=True):
            told = self._told.get(source, length)
            if length > told:
                news.append(Progress(source, tuple(row[told:length].tolist())))
                self._told[source] = length
        return news

    def _lively(self, flags: list[bool]) -> list[int]:
        """The rows with a flag whose source is still searched for."""
        return [row for row, flag in enumerate(flags) if flag and self._rows[row] in self._active]

    def _broken(self, row: int) -> Progress:
        self._forget(self._rows[row])
        return Progress(self._rows[row], (), broken=True)

    def _final(self, beams: BeamState, row: int) -> Progress:
        source = self._rows[row]
        outcome = outcome_of(beams, row, self._options, self._ids.eos)
        told = self._told.get(source, 0)
        self._forget(source)
        return Progress(source, outcome.best.tokens[told:], outcome)

    def _forget(self, source: int) -> None:
        self._active.discard(source)
        self._told.pop(source, None)

    def _join(self, newcomers: tuple[BeamState, State], numbers: list[int]) -> None:
        busy = self._busy()
        free = [row for row in range(len(self._rows)) if row not in busy][: len(numbers)]
        if busy and self._batch is not None and self._seat is not None and len(free) == len(numbers):
            beams, state = self._batch
            rows = torch.tensor(free, device=self._device)
            places = each_of(rows, self._options.beam_groups).flatten()
            self._batch = seat(beams, places, newcomers[0]), self._seat(state, rows, newcomers[1])
            for row, number in zip(free, numbers, strict=True):
                self._rows[row] = number
            return
        if busy and self._batch is not None:
            if self._worthwhile(len(busy), len(numbers)):
                self._take(self._batch, compacted(busy), idle=0)
            beams, state = self._batch
            self._batch = join((beams, newcomers[0])), self._model.join((state, newcomers[1]))
            self._rows = self._rows + numbers
        else:
            self._batch, self._rows = newcomers, numbers
        if idle := self._idle(len(self._rows)):
            self._take(self._batch, list(range(len(self._rows))), idle)

    def _leave(self) -> None:
        """Leaves the rows out that have nothing left to do, once there are enough of them."""
        busy = self._busy()
        if not busy:
            self._rows, self._batch = [], None
        elif self._batch is not None and self._worthwhile(len(busy)):
            self._take(self._batch, compacted(busy), self._idle(len(busy)))

    def _busy(self) -> list[int]:
        return [row for row, source in enumerate(self._rows) if source in self._active]

    def _idle(self, sources: int) -> int:
        """How many idle rows the model wants besides."""
        return self._filled(sources) - sources if self._filled is not None else 0

    def _worthwhile(self, busy: int, newcomers: int = 0) -> bool:
        """Whether the idle rows cost more than the copying that leaving them out takes."""
        needed, rows = busy + newcomers, len(self._rows) + newcomers
        if self._filled is not None:
            return self._filled(needed) < self._filled(rows)
        return rows - needed >= max(1, COMPACT_FROM * rows)

    def _take(self, batch: tuple[BeamState, State], rows: list[int], idle: int) -> None:
        """Keeps these rows, with idle ones behind them, which are copies of the first."""
        beams, state = batch
        sources = torch.tensor([*rows, *[rows[0]] * idle], device=self._device)
        groups, count = self._options.beam_groups, self._options.num_beams
        kept = keep(beams, each_of(sources, groups).flatten()), self._model.reorder(state, each_of(sources, count))
        self._rows, self._batch = [*(self._rows[row] for row in rows), *[NOBODY] * idle], kept


def decode(
    model: StepModel[State],
    sources: Sequence[Sequence[int]],
    options: GenerationOptions,
    ids: TokenIds,
    device: torch.device | None = None,
    *,
    seeds: Sequence[int] | None = None,
) -> list[Outcome]:
    """The outcomes of all sources, in order. Raises ValueError on an empty source, ArithmeticError where the model's
    scores are no numbers."""
    search = Search(model, options, ids, device=device)
    numbers = search.admit(sources, seeds=seeds)
    outcomes: dict[int, Outcome] = {}
    while search.active:
        for progress in search.advance():
            if progress.broken:
                raise ArithmeticError("the model's scores are not finite")
            if progress.outcome is not None:
                outcomes[progress.source] = progress.outcome
    return [outcomes[number] for number in numbers]


def compacted(rows: Sequence[int]) -> list[int]:
    """The same rows in an order in which as many as can be stay where they are: those need no copying."""
    places = range(len(rows))
    staying = set(rows).intersection(places)
    coming = iter(row for row in rows if row not in places)
    return [place if place in staying else next(coming) for place in places]


def padded(sources: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Source ids and mask [B, S], padded on the right."""
    if not all(sources):
        raise ValueError("a source must have at least one token")
    longest = max(map(len, sources))
    source = torch.tensor([[*ids, *[pad] * (longest - len(ids))] for ids in sources], device=device)
    lengths = torch.tensor([len(ids) for ids in sources], device=device)
    return source, torch.arange(longest, device=device) < lengths[:, None]


def each_of(sources: Tensor, count: int) -> Tensor:
    """The `count` adjacent rows of each source [B] → [B, count]."""
    return sources[:, None] * count + torch.arange(count, device=sources.device)
