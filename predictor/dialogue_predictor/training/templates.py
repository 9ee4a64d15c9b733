"""Chinese task dialogues filled from CrossWOZ's templates and its database of places.

The corpus itself is small; its templates give any amount of dialogue in which the user asks for a place, then for
its properties, and each answer is drawn from the same record. Seeded: the same generator gives the same dialogues.
"""

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialogue_predictor.text.dialogue import Turn
from dialogue_predictor.training.corpora import Dialogue, read_jsonl

SLOT = re.compile(r"\[([^\[\]]+?)(\d*)\]")
DOMAINS = {"酒店": "hotel", "餐馆": "restaurant", "景点": "attraction"}
ASKED = {
    "酒店": ("地址", "电话", "评分", "价格", "周边景点", "周边餐馆"),
    "餐馆": ("地址", "电话", "评分", "营业时间", "人均消费", "推荐菜", "周边景点", "周边酒店", "周边餐馆"),
    "景点": ("地址", "电话", "评分", "门票", "游玩时间", "周边景点", "周边餐馆", "周边酒店"),
}
SEARCHES = {
    "酒店": (("评分",), ("价格",), ("酒店类型",), ("价格", "评分"), ("评分", "酒店类型"), ("价格", "酒店类型")),
    "餐馆": (("评分",), ("人均消费",), ("推荐菜",), ("人均消费", "评分"), ("人均消费", "推荐菜"), ("推荐菜", "评分")),
    "景点": (("评分",), ("门票",), ("游玩时间",), ("游玩时间", "评分"), ("评分", "门票"), ("游玩时间", "门票")),
}
CARS = ("#CX", "#DX", "#GS", "#EX")
TRAIL = re.compile(r"http|[A-Za-z]{12,}")

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Templates:
    user: Mapping[str, list[str]]
    system: Mapping[str, list[str]]
    places: Mapping[str, list[Record]]


def read_templates(folder: Path) -> Templates | None:
    """The templates and places of a CrossWOZ folder; None when they are not there."""
    if not (folder / "templates_user.jsonl.gz").exists():
        return None
    sides = [
        {entry["acts"]: [text for text in entry["texts"] if not TRAIL.search(text)] for entry in read_jsonl(path)}
        for path in (folder / "templates_user.jsonl.gz", folder / "templates_system.jsonl.gz")
    ]
    places = {domain: list(read_jsonl(folder / f"database_{file}.jsonl.gz")) for domain, file in DOMAINS.items()}
    return Templates(sides[0], sides[1], places)


def generate(templates: Templates, count: int, seed: int) -> list[Dialogue]:
    """`count` dialogues of two to six exchanges about one or two places."""
    draw = random.Random(seed)
    return [
        Dialogue(f"crosswoz-templates-{index}", "crosswoz", "zh", "templates", dialogue_turns(templates, draw))
        for index in range(count)
    ]


def dialogue_turns(templates: Templates, draw: random.Random) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    for _ in range(draw.choice((1, 1, 2))):
        domain = draw.choice(tuple(DOMAINS))
        place = draw.choice(templates.places[domain])
        turns += search(templates, draw, domain, place, first=not turns)
        for slot in draw.sample(ASKED[domain], draw.choice((1, 2, 2, 3))):
            turns += ask(templates, draw, domain, slot, place)
    ride = draw.random()
    if ride < 0.25:
        turns += travel(templates, draw, "出租" if ride < 0.12 else "地铁")
    if draw.random() < 0.6:
        turns += exchange(templates, draw, "General+thank+none", "General+welcome+none", {})
    return tuple(turns)


def search(templates: Templates, draw: random.Random, domain: str, place: Record, first: bool) -> list[Turn]:
    """The user asks for a place of some kind; one or two are named."""
    slots = draw.choice(SEARCHES[domain])
    wanted = "*".join((*(f"Inform+{domain}+{slot}" for slot in slots), f"Request+{domain}+名称"))
    if "门票" in slots and not place.get("门票"):
        wanted = wanted.replace(f"Inform+{domain}+门票", f"Inform+{domain}+门票+免费")
    greeting = f"General+greet+none*{wanted}"
    user = greeting if first and draw.random() < 0.6 and greeting in templates.user else wanted
    filled = {f"{domain}+{slot}": [wish(slot, place, draw)] for slot in slots}
    if draw.random() < 0.5:
        answer, names = f"Inform+{domain}+名称", [place["名称"]]
    else:
        other = draw.choice(templates.places[domain])
        answer, names = "*".join([f"Recommend+{domain}+名称"] * 2), [place["名称"], other["名称"]]
    return exchange(templates, draw, user, answer, filled | {f"{domain}+名称": names})


def ask(templates: Templates, draw: random.Random, domain: str, slot: str, place: Record) -> list[Turn]:
    """The user asks for one property of the place named last; the answer is the database's."""
    named = f"Inform+{domain}+名称*Request+{domain}+{slot}"
    plain = f"Request+{domain}+{slot}"
    user = named if draw.random() < 0.3 and named in templates.user else plain
    values = values_of(place, slot, draw)
    told = f"Inform+{domain}+{slot}"
    answer = "*".join([told] * len(values)) if values else f"{told}+无"
    if slot == "门票" and values == ["免费"]:
        answer = f"{told}+免费"
    return exchange(templates, draw, user, answer, {f"{domain}+{slot}": values, f"{domain}+名称": [place["名称"]]})


def travel(templates: Templates, draw: random.Random, by: str) -> list[Turn]:
    """A taxi or the metro between two places."""
    start, end = (draw.choice(templates.places[draw.choice(tuple(DOMAINS))]) for _ in range(2))
    filled = {f"{by}+出发地": [start["名称"]], f"{by}+目的地": [end["名称"]]}
    if by == "出租":
        user = "Inform+出租+出发地*Inform+出租+目的地*Request+出租+车型*Request+出租+车牌"
        answer = "Inform+出租+车型*Inform+出租+车牌"
        filled |= {
            "出租+车型": [draw.choice(CARS)],
            "出租+车牌": [f"京{draw.choice('ABCDE')}{draw.randint(10000, 99999)}"],
        }
    else:
        if not start["地铁"] or not end["地铁"]:
            return []
        user = "Inform+地铁+出发地*Inform+地铁+目的地*Request+地铁+出发地附近地铁站*Request+地铁+目的地附近地铁站"
        answer = "Inform+地铁+出发地附近地铁站*Inform+地铁+目的地附近地铁站"
        filled |= {"地铁+出发地附近地铁站": [start["地铁"]], "地铁+目的地附近地铁站": [end["地铁"]]}
    return exchange(templates, draw, user, answer, filled)


def exchange(
    templates: Templates, draw: random.Random, user: str, answer: str, filled: Mapping[str, list[str]]
) -> list[Turn]:
    """One user turn and its answer; nothing when no template has these acts or a slot stays empty."""
    asked = fill(templates.user.get(user), draw, filled)
    answered = fill(templates.system.get(answer), draw, filled)
    if asked is None or answered is None:
        return []
    return [Turn("user", asked), Turn("assistant", answered)]


def fill(texts: list[str] | None, draw: random.Random, filled: Mapping[str, list[str]]) -> str | None:
    if not texts:
        return None
    text = draw.choice(texts)
    for whole, acts, number in [(match.group(0), *match.groups()) for match in SLOT.finditer(text)]:
        values = filled.get("+".join(acts.split("+")[1:3]))
        position = int(number) - 1 if number else 0
        if not values or position >= len(values):
            return None
        text = text.replace(whole, values[position], 1)
    return text


def values_of(place: Record, slot: str, draw: random.Random) -> list[str]:
    """What the database says, as the answer words it: up to three neighbours or dishes, else one value."""
    value = place.get(slot)
    if isinstance(value, list):
        return draw.sample(value, min(len(value), draw.choice((2, 3))))
    if value is None:
        return []
    return [WORDED.get(slot, str)(value)]


def wish(slot: str, place: Record, draw: random.Random) -> str:
    """What the user asks for, so that the place fits: a range, a minimum or one of its values."""
    value = place.get(slot)
    if slot == "评分":
        return f"{draw.choice((4, 4.5))}分以上"
    if isinstance(value, list):
        return str(draw.choice(value)) if value else "小吃"
    if slot in ("价格", "人均消费", "门票"):
        step = 100 if slot == "价格" else 50
        if slot == "门票" and not value:
            return "免费"
        low = int(value or 0) // step * step
        return f"{low}-{low + step}元" if low else f"{step}元以下"
    return str(value)


def yuan(value: Any) -> str:
    return f"{value}元"


WORDED: Mapping[str, Callable[[Any], str]] = {
    "价格": yuan,
    "人均消费": yuan,
    "门票": lambda value: yuan(value) if value else "免费",
    "评分": lambda value: f"{value}分",
}
