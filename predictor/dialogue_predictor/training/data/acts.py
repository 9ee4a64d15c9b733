"""A user's dialogue acts, read: what is looked for, where, under which conditions, and what is asked."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from dialogue_predictor.training.data.places import DOMAINS, MONEY, Places, Record
from dialogue_predictor.training.data.wordings import Acts, Worded

POLITE = frozenset({"General+greet+none", "General+thank+none"})
FACILITY = "酒店设施"
STEPS: Mapping[str, int] = {"价格": 100, "人均消费": 50, "门票": 50}


@dataclass(frozen=True, slots=True)
class Request:
    """`wanted`: conditions on the place, a slot as often as it is demanded. `asked`: properties to be told.

    `near`: the domain of the place in whose surroundings to search. `names`: the domain of the place that is named.
    """

    acts: Acts
    domain: str
    wanted: tuple[str, ...]
    asked: tuple[str, ...]
    near: str | None
    names: str | None

    @property
    def seeks(self) -> bool:
        """Whether a place is looked for, rather than spoken of."""
        return self.names != self.domain and (
            bool(self.wanted) or self.near is not None or "名称" in self.acts_of_request
        )

    @property
    def acts_of_request(self) -> tuple[str, ...]:
        return tuple(act.split("+")[2] for act in self.acts if act.startswith("Request"))


def read_request(acts: Acts) -> Request | None:
    """None for acts that are no request for a place or about one, and for those of several places at once."""
    wanted: list[str] = []
    asked: list[str] = []
    domains: set[str] = set()
    near = names = None
    for act in acts:
        intent, domain, slot, *value = act.split("+")
        if act in POLITE:
            continue
        if intent == "Select" and near in (None, value[0]):
            near, domains = value[0], domains | {domain}
        elif intent == "Inform" and slot == "名称" and names is None:
            names = domain
        elif intent == "Inform" and slot != "名称":
            wanted.append("+".join((slot, *value)))
            domains.add(domain)
        elif intent == "Request":
            asked += [slot] if slot != "名称" else []
            domains.add(domain)
        else:
            return None
    if len(domains) != 1 or not domains <= set(DOMAINS) or any(slot.endswith("+无") for slot in wanted):
        return None
    (domain,) = domains
    request = Request(acts, domain, tuple(wanted), tuple(asked), near, names)
    of_source = names is not None and names != domain  # "in the surroundings of the Forbidden City"
    if (of_source and (names != near or not request.seeks)) or (names == domain and wanted):
        return None
    return request if request.seeks or asked else None


class Choices:
    """Requests of one kind, drawn as often as there are words for them."""

    def __init__(self, requests: Sequence[Request], user: Worded) -> None:
        self._requests = requests
        self._sums = list(accumulate(len(user[one.acts]) for one in requests))

    def __bool__(self) -> bool:
        return bool(self._requests)

    def draw(self, draw: random.Random) -> Request:
        return draw.choices(self._requests, cum_weights=self._sums)[0]


def wishes(record: Record, wanted: Sequence[str], draw: random.Random) -> dict[str, list[str]] | None:
    """Values of the wanted slots that the record meets; None when it has none for one of them."""
    found: dict[str, list[str]] = {}
    for slot, count in Counter(wanted).items():
        value = record[slot.split("+")[0]]
        if isinstance(value, list):
            named = [one for one in value if one.strip()]
            if len(named) < count:
                return None
            found[slot] = draw.sample(named, count)
        elif count > 1 or value is None or (slot == "评分" and value < 4) or (slot == "门票" and not value):
            return None
        elif slot == "门票+免费":
            if value:
                return None
            found[slot] = ["免费"]
        elif slot in STEPS:
            found[slot] = [price_wish(value, STEPS[slot])]
        else:
            found[slot] = [
                f"{draw.choice([low for low in (4, 4.5, 5) if low <= value])}分以上" if slot == "评分" else value
            ]
    return found


def price_wish(value: int, step: int) -> str:
    low = value // step * step
    return f"{low}-{low + step}元" if low else f"{step}元以下"


def meets(record: Record, slot: str, value: str) -> bool:
    """Whether a record has what `wishes` words."""
    has = record[slot.split("+")[0]]
    if isinstance(has, list):
        return value in has
    if has is None:
        return False
    if slot == "评分":
        return bool(has >= float(value.removesuffix("分以上")))
    if slot == "门票+免费":
        return bool(has == 0)
    if slot in MONEY.values():
        low, _, high = value.removesuffix("元").removesuffix("以下").removesuffix("元").rpartition("-")
        return bool(float(low or 0) <= has <= float(high))
    return bool(has == value)


def neighbours(record: Record, domain: str, places: Places) -> list[Record]:
    return [places.by_name[name] for name in record[f"周边{domain}"] if name in places.by_name]
