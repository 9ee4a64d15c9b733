"""Who is next, as tables and as laws: nobody lost, by arrival within a tenant, by turns between tenants, no level starved."""

from collections import Counter, defaultdict
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue_predictor.backends.order import AGEING, QUANTUM, Order

Asked = tuple[str, int, int]  # tenant, priority, cost
ASKED = st.tuples(st.sampled_from("abc"), st.sampled_from([-8, 0, 0, 0, 1, 2]), st.integers(1, 3 * QUANTUM))
MOVES = st.lists(st.one_of(ASKED, st.just("take"), st.integers(0, 30)), max_size=80)  # a number: that one withdraws


def names(order: Order[str]) -> str:
    return " ".join(order.take() for _ in range(len(order)))


def order_of(text: str, cost: int) -> Order[str]:
    """`a1+2` is the first request of tenant a, with priority 2."""
    order: Order[str] = Order()
    for name in text.split():
        order.add(name, tenant=name[0], priority=int(name.partition("+")[2] or 0), cost=cost)
    return order


@pytest.mark.parametrize(
    ("arrivals", "cost", "expected"),
    [
        ("a1 a2 a3", 100, "a1 a2 a3"),
        ("a1 b1 c1", 100, "a1 b1 c1"),
        ("a1 a2 a3 b1", QUANTUM, "a1 b1 a2 a3"),
        ("a1 a2 a3 a4 b1 b2 c1", QUANTUM, "a1 b1 c1 a2 b2 a3 a4"),
        ("a1 a2 a3 a4 b1 b2", QUANTUM // 2, "a1 a2 b1 b2 a3 a4"),
        ("a1 a2 a3 a4 b1 b2", QUANTUM // 2 + 1, "a1 b1 a2 a3 b2 a4"),
        ("a1 b1+1 c1+2", 100, "c1+2 b1+1 a1"),
        ("a1 a2+1 a3 a4+1", 100, "a2+1 a4+1 a1 a3"),
    ],
)
def test_tables(arrivals: str, cost: int, expected: str) -> None:
    assert names(order_of(arrivals, cost)) == expected


def test_a_greater_request_waits_for_as_many_turns_as_it_costs() -> None:
    order = order_of("a1 a2 a3 a4", QUANTUM)
    order.add("b1", tenant="b", cost=3 * QUANTUM)
    assert names(order) == "a1 a2 a3 b1 a4"


def test_a_lower_level_is_passed_over_so_many_times_and_no_more() -> None:
    order: Order[int] = Order()
    order.add(-1, priority=0)
    for item in range(3 * AGEING):
        order.add(item, priority=2)
    taken = [order.take() for _ in range(2 * AGEING + 1)]
    assert taken == [*range(2 * AGEING), -1]


def test_what_is_withdrawn_costs_its_tenant_nothing() -> None:
    order = order_of("a1 a2 a3 b1", QUANTUM)
    assert order.discard("a1")
    assert not order.discard("a1")
    assert "a1" not in order
    assert names(order) == "a2 b1 a3"


def test_nobody_is_next_where_nobody_waits() -> None:
    order: Order[str] = Order()
    assert order.first() is None
    with pytest.raises(ValueError, match="empty"):
        order.take()


@given(MOVES)
def test_each_comes_out_once_and_in_its_tenants_order(moves: list[Asked | str | int]) -> None:
    order: Order[int] = Order()
    line: dict[tuple[str, int], list[int]] = defaultdict(list)
    place: dict[int, tuple[str, int]] = {}
    numbers = count()

    def take() -> None:
        first = order.first()
        item = order.take()
        assert first == item == line[place[item]].pop(0)

    for move in moves:
        waiting = [item for items in line.values() for item in items]
        assert len(order) == len(waiting)
        if isinstance(move, tuple):
            item, (tenant, priority, cost) = next(numbers), move
            order.add(item, tenant=tenant, priority=priority, cost=cost)
            place[item] = tenant, priority
            line[tenant, priority].append(item)
        elif isinstance(move, int):
            assert order.discard(move) == (move in waiting)
            if move in waiting:
                line[place[move]].remove(move)
        elif waiting:
            take()
    while len(order):
        take()
    assert not any(line.values())


@given(
    st.lists(st.one_of(st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 3 * QUANTUM)), st.none()), max_size=120)
)
def test_while_one_waits_no_other_tenant_gets_more_than_its_turns(moves: list[tuple[str, int] | None]) -> None:
    order: Order[tuple[int, str, int]] = Order()
    greatest: Counter[str] = Counter()  # cost of a tenant's requests
    admitted: dict[str, Counter[str]] = {}  # for each that waits: what others got since it was its tenant's first
    line: dict[str, list[tuple[int, str, int]]] = defaultdict(list)
    for number, move in enumerate([*moves, *[None] * len(moves)]):
        if move is not None:
            tenant, cost = move
            order.add((number, tenant, cost), tenant=tenant, cost=cost)
            line[tenant].append((number, tenant, cost))
            admitted.setdefault(tenant, Counter())
            greatest[tenant] = max(greatest[tenant], cost)
        elif len(order):
            _, tenant, cost = order.take()
            line[tenant].pop(0)
            admitted.pop(tenant)
            for gone in admitted.values():
                gone[tenant] += cost
            if line[tenant]:
                admitted[tenant] = Counter()
        for waiting, others in admitted.items():
            turns = -(-line[waiting][0][2] // QUANTUM)
            for other, tokens in others.items():
                assert tokens <= turns * QUANTUM + greatest[other]


@given(st.lists(st.one_of(st.sampled_from([-8, -2, 0, 1, 2, 3, 8]), st.none()), max_size=200))
def test_no_level_starves(moves: list[int | None]) -> None:
    order: Order[tuple[int, int]] = Order()
    passed: dict[int, int] = {}
    waiting: Counter[int] = Counter()
    levels = 7
    for number, move in enumerate([*moves, *[None] * len(moves)]):
        if move is not None:
            order.add((number, move), priority=move)
            waiting[move] += 1
        elif len(order):
            _, level = order.take()
            waiting[level] -= 1
            passed[level] = 0
        for level in waiting:
            passed[level] = passed.get(level, 0) + (move is None) if waiting[level] else 0
            assert passed[level] <= (8 - level + 1) * AGEING + levels


def test_under_a_lasting_flood_every_level_and_tenant_gets_on() -> None:
    """New requests of every kind come all the time, of new tenants too."""
    order: Order[int] = Order()
    fresh = count(1)
    order.add(0, priority=-1, tenant="patient", cost=2 * QUANTUM)
    for _ in range(20):
        order.add(next(fresh), priority=-1, tenant="other", cost=QUANTUM)
    for taken in range(1000):
        order.add(next(fresh), priority=1, tenant="important", cost=QUANTUM)
        order.add(next(fresh), priority=-1, tenant=f"never seen {taken}", cost=QUANTUM)
        if order.take() == 0:
            break
    one_in = 2 * AGEING + 1  # admissions are its level's
    round_of = one_in + 2  # tenants: those new before its first turn, which does not pay for it, and the first two
    assert taken <= one_in * (round_of + 1)
