"""Whatever comes, goes, is late or breaks: every request gets exactly one end, its own, and nobody is starved."""

import asyncio
import random
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dialogue_predictor.backends.admission import cost
from dialogue_predictor.backends.base import GenerationRequest
from dialogue_predictor.backends.order import QUANTUM
from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.decoding.outcome import Outcome
from dialogue_predictor.errors import BackendFailed, DeadlineExceeded, NotReady, Overloaded, RequestError
from support.by_hand import ByHand, StillClock, run, settle
from support.echo_model import FIRST_WORD, VOCABULARY, Call, EchoModel

OPTIONS = [
    GenerationOptions(num_beams=beams, max_new_tokens=new, no_repeat_ngram=0) for beams, new in ((1, 9), (2, 9), (1, 4))
]
MAX_BATCH, MAX_QUEUE = 3, 5
POISON = FIRST_WORD
DEAR = GenerationOptions(num_beams=4, max_new_tokens=60, no_repeat_ngram=0)  # two or three make a turn


@dataclass(frozen=True)
class Ask:
    source: tuple[int, ...]
    options: GenerationOptions
    patience: float | None  # seconds until the deadline
    tenant: str
    priority: int
    watched: bool


@dataclass(frozen=True)
class Cancel:
    which: int


@dataclass(frozen=True)
class Round:
    worker: int


@dataclass(frozen=True)
class Wait:
    seconds: int


@dataclass(frozen=True)
class Break:
    call: Call
    after: int


SOURCES = st.one_of(
    st.lists(st.integers(FIRST_WORD + 1, VOCABULARY - 1), min_size=1, max_size=8),
    st.lists(st.integers(FIRST_WORD + 1, VOCABULARY - 1), min_size=65, max_size=90),
).map(tuple)
ASKS = st.builds(
    Ask,
    source=st.one_of(SOURCES, SOURCES, SOURCES, st.just((POISON, POISON))),
    options=st.sampled_from(OPTIONS),
    patience=st.one_of(st.none(), st.integers(0, 4).map(float)),
    tenant=st.sampled_from("abc"),
    priority=st.integers(-1, 1),
    watched=st.booleans(),
)
ROUNDS = st.builds(Round, st.integers(0, 1))
MOVES = st.lists(
    st.one_of(
        ASKS, ASKS, ROUNDS, ROUNDS, ROUNDS,
        st.builds(Cancel, st.integers(0, 20)),
        st.builds(Wait, st.integers(1, 3)),
        st.builds(Break, st.sampled_from(["encode", "step", "reorder", "join"]), st.integers(0, 2)),
    ),
    max_size=50,
)  # fmt: skip


@dataclass
class Asked:
    """One request, and all that came back."""

    ask: Ask
    deadline: float | None
    task: asyncio.Task[None] = field(init=False)
    tokens: list[int] = field(default_factory=list)
    ends: list[Outcome | BaseException] = field(default_factory=list)

    async def through(self, backend: ByHand) -> None:
        ask = self.ask
        request = GenerationRequest(ask.source, ask.options, self.deadline, priority=ask.priority, tenant=ask.tenant)
        try:
            if not ask.watched:
                self.ends.append(await backend.generate(request))
                return
            async with aclosing(backend.stream(request)) as parts:
                async for part in parts:
                    assert not self.ends, "something came after the end"
                    self.tokens += part.tokens
                    if part.outcome is not None:
                        self.ends.append(part.outcome)
        except (RequestError, asyncio.CancelledError) as error:
            self.ends.append(error)

    def check(self, *, cancelled: bool, faults: bool, stopped: bool, now: float) -> None:
        assert len(self.ends) == 1, self.ends
        end = self.ends[0]
        if isinstance(end, Outcome):
            said = self.ask.source[: self.ask.options.max_new_tokens]
            assert end.best.tokens == said, "a reply to somebody else"
            assert not self.ask.watched or tuple(self.tokens) == said
            assert self.ask.source[0] != POISON
        elif isinstance(end, DeadlineExceeded):
            assert self.deadline is not None
            assert now >= self.deadline
        elif isinstance(end, BackendFailed):
            assert faults or self.ask.source[0] == POISON
        elif isinstance(end, NotReady):
            assert stopped
        elif isinstance(end, asyncio.CancelledError):
            assert cancelled
        else:
            assert isinstance(end, Overloaded), end


class World:
    def __init__(self, loop: StillClock, **how: Any) -> None:
        self.loop = loop
        self.model = EchoModel()
        self.model.poisoned = {POISON}
        self.backend = ByHand(self.model, max_batch_size=MAX_BATCH, max_queue=MAX_QUEUE, workers=2, **how)
        self.asked: list[Asked] = []
        self.cancelled: set[int] = set()
        self.faults = False

    async def move(self, move: Ask | Cancel | Round | Wait | Break) -> None:
        match move:
            case Ask():
                self.ask(move)
            case Cancel(which) if which < len(self.asked):
                if self.asked[which].task.cancel():
                    self.cancelled.add(which)
            case Round(worker):
                await self.round(worker)
            case Wait(seconds):
                self.loop.now += seconds
            case Break(call, after):
                self.faults = True
                self.model.breaks(call, after)
            case _:
                pass
        await settle()
        self.check_bounds()

    def ask(self, ask: Ask) -> None:
        deadline = None if ask.patience is None else self.loop.now + ask.patience
        asked = Asked(ask, deadline)
        asked.task = asyncio.create_task(asked.through(self.backend))
        self.asked.append(asked)

    async def round(self, worker: int) -> None:
        """Whoever has ended is out of the batch, and nobody late was encoded."""
        before = len(self.model.encoded)
        too_late = {
            each.ask.source for each in self.asked if each.deadline is not None and self.loop.now >= each.deadline
        }
        in_time = {each.ask.source for each in self.asked if each.deadline is None or self.loop.now < each.deadline}
        await self.backend.round(worker)
        assert not set(self.model.encoded[before:]) & (too_late - in_time)
        live = {job for job in self.backend._taken if not job.over}
        assert set(self.backend._workers[worker]._jobs) <= live

    def check_bounds(self) -> None:
        backend = self.backend
        assert backend.waiting <= MAX_QUEUE
        assert all(len(worker._jobs) <= MAX_BATCH for worker in backend._workers)
        owed = sum(each.ask.options.max_new_tokens for each in self.asked if not each.task.done())
        assert backend.pending_tokens == owed

    async def end(self, *, stopped: bool) -> None:
        backend = self.backend
        ending = asyncio.create_task(backend.close() if stopped else backend.drain())
        await settle()
        for _ in range(1000):
            await backend.rounds()
            if ending.done():
                break
        await ending
        assert (backend.waiting, backend.decoding, backend.pending_tokens) == (0, 0, 0)
        for number, asked in enumerate(self.asked):
            assert asked.task.done()
            asked.check(cancelled=number in self.cancelled, faults=self.faults, stopped=stopped, now=self.loop.now)
        await backend.close()


PROPERTY = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@PROPERTY
@given(MOVES, st.booleans(), st.booleans())
def test_every_request_has_one_end_and_it_is_its_own(
    moves: list[Ask | Cancel | Round | Wait | Break], continuous: bool, stopped: bool
) -> None:
    async def story(loop: StillClock) -> None:
        world = World(loop, continuous=continuous)
        for move in moves:
            await world.move(move)
        await world.end(stopped=stopped)

    run(story)


@PROPERTY
@given(st.lists(st.one_of(ASKS, ROUNDS, ROUNDS), max_size=40))
def test_without_faults_cancellations_and_deadlines_all_that_was_taken_is_answered(moves: list[Ask | Round]) -> None:
    async def story(loop: StillClock) -> None:
        world = World(loop)
        for move in moves:
            await world.move(move)
        await world.end(stopped=False)
        for asked in world.asked:
            expected = BackendFailed if asked.ask.source[0] == POISON else Outcome
            if asked.ask.patience is None or asked.ask.patience > 0:
                assert isinstance(asked.ends[0], expected | Overloaded)

    run(story)


def requests(dice: random.Random, tenant: str, count: int) -> Iterable[Ask]:
    for _ in range(count):
        source = tuple(dice.randrange(FIRST_WORD + 1, VOCABULARY) for _ in range(4))
        yield Ask(source, DEAR, None, tenant, 0, watched=False)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("tenants", [1, 3])
def test_a_flood_delays_others_by_no_more_than_a_turn_of_each_tenant(seed: int, tenants: int) -> None:
    """Tenants that keep the room full, always: another one is taken in, and in its turn."""
    dice = random.Random(seed)

    async def story(loop: StillClock) -> None:
        world = World(loop)

        async def flood() -> None:
            for tenant in range(tenants):
                for ask in requests(dice, f"flood {tenant}", MAX_QUEUE):
                    await world.move(ask)

        for _ in range(dice.randint(1, 6)):
            await flood()
            await world.round(dice.randrange(2))
        await world.move(next(iter(requests(dice, "quiet", 1))))
        quiet = world.asked[-1]
        at = len(world.model.encoded)
        rounds = 0
        while not quiet.task.done():
            await flood()
            await world.round(rounds % 2)
            rounds += 1
        assert isinstance(quiet.ends[0], Outcome)
        before = world.model.encoded[at:].index(quiet.ask.source)
        spent = cost(GenerationRequest(quiet.ask.source, quiet.ask.options))
        assert before <= tenants * ((QUANTUM + spent) // spent)
        await world.end(stopped=True)

    run(story)
