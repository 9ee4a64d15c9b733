"""Who is next: priorities first, then turns between tenants, then the order of arrival.

Plain data without clocks, locks or models. Within one priority it is deficit round robin (Shreedhar and Varghese,
"Efficient fair queuing using deficit round-robin", 1995): tenants take turns, and a turn admits what its `QUANTUM` of
tokens, and what an earlier turn had left over, pay for. So while a tenant waits, every other tenant of its priority is
admitted at most `ceil(cost / QUANTUM) * QUANTUM` tokens and one request more before it, however much that one has asked
for and under however many names that have not been seen before: new tenants come last in the round.

Across priorities the greater one goes first, but a level that waits rises by one for every `AGEING` requests that are
admitted before it: a level that lies `gap` below the others is admitted at least once in
`(gap + 1) * AGEING + levels` requests. Nobody waits for ever.
"""

from collections import Counter, OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

QUANTUM = 512  # tokens; an ordinary request costs some 250
AGEING = 8  # requests

Item = TypeVar("Item", bound=Hashable)


class FairQueue(Generic[Item]):
    """What waits with one priority: by turns between tenants, by arrival within one."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, dict[Item, int]] = OrderedDict()  # a tenant's items and costs; whose turn it is
        self._credit: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, item: Item, tenant: str, cost: int) -> None:
        if tenant not in self._waiting:
            self._waiting[tenant] = {}
            self._credit[tenant] = QUANTUM
        self._waiting[tenant][item] = cost

    def first(self) -> Item:
        """Who is next. Raises StopIteration when nobody waits."""
        return next(iter(self._waiting[self._at_turn()]))

    def take(self) -> Item:
        """Takes out who is next, and charges the tenant for it."""
        tenant = self._at_turn()
        item, cost = next(iter(self._waiting[tenant].items()))
        self._credit[tenant] -= cost
        self.discard(item, tenant)
        return item

    def discard(self, item: Item, tenant: str) -> None:
        """Takes somebody out without a charge. A tenant with nothing left has no claim to what it did not use."""
        del self._waiting[tenant][item]
        if not self._waiting[tenant]:
            del self._waiting[tenant], self._credit[tenant]

    def _at_turn(self) -> str:
        """The tenant whose turn pays for its next item; those before it have had theirs."""
        while True:
            tenant, items = next(iter(self._waiting.items()))
            if next(iter(items.values())) <= self._credit[tenant]:
                return tenant
            self._waiting.move_to_end(tenant)
            self._credit[tenant] += QUANTUM


class Order(Generic[Item]):
    """What waits, and who of it is next. Each item waits once."""

    def __init__(self) -> None:
        self._levels: dict[int, FairQueue[Item]] = {}
        self._passed: dict[int, int] = {}  # requests admitted since the level's last one, while it waited
        self._places: dict[Item, tuple[int, str]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, item: Item) -> bool:
        return item in self._places

    def add(self, item: Item, *, priority: int = 0, tenant: str = "", cost: int = 1) -> None:
        """`cost`: the tokens that the item may come to, at least 1."""
        if priority not in self._levels:
            self._levels[priority] = FairQueue()
            self._passed[priority] = 0
        self._levels[priority].add(item, tenant, cost)
        self._places[item] = priority, tenant

    def first(self) -> Item | None:
        """Who is next, None when nobody waits."""
        return self._levels[self._next_level()].first() if self._levels else None

    def take(self) -> Item:
        """Takes out who is next: it is admitted, and everybody else was passed over. Raises ValueError if nobody waits."""
        level = self._next_level()
        item = self._levels[level].take()
        for other in self._passed:
            self._passed[other] += 1
        self._passed[level] = 0
        self._forget(item)
        return item

    def discard(self, item: Item) -> bool:
        """Takes somebody out who will not be admitted; false where it does not wait."""
        if item not in self._places:
            return False
        priority, tenant = self._places[item]
        self._levels[priority].discard(item, tenant)
        self._forget(item)
        return True

    def displaced_by(self, tenant: str) -> Item | None:
        """Who should go where a request of this tenant finds no place; None: the newcomer itself.

        The tenant that has most waiting loses the latest request of its lowest priority, if it has at least two more
        than the newcomer's. So a tenant cannot keep others out by filling the room.
        """
        waiting = Counter(owner for _, owner in self._places.values())
        most = max(waiting, key=waiting.__getitem__, default=tenant)
        if waiting[most] < waiting[tenant] + 2:
            return None
        latest_first = reversed([item for item, (_, owner) in self._places.items() if owner == most])
        return min(latest_first, key=lambda item: self._places[item][0])

    def _next_level(self) -> int:
        return max(self._levels, key=lambda level: (level + self._passed[level] // AGEING, self._passed[level]))

    def _forget(self, item: Item) -> None:
        priority, _ = self._places.pop(item)
        if not self._levels[priority]:
            del self._levels[priority], self._passed[priority]
