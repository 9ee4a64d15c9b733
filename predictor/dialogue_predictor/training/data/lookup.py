"""What a lookup in CrossWOZ's database of places finds for a dialogue so far, as lines of facts.

It reads what was said before the reply, never the reply: the places named so far and the attributes that the newest
user's turn asks for; and where the turn asks for a place, the first of the database that meet its conditions.
"""

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from dialogue_predictor.training.data.dialogues import Utterance
from dialogue_predictor.training.data.places import MONEY, Places, Record, value_of, words_in

Condition = Callable[[Record], bool]

NOTHING = "没有完全符合"
NAMED, FOUND = 2, 4  # places that are told about, places that are found
ATTRIBUTES: Mapping[str, re.Pattern[str]] = {
    attribute: re.compile(pattern)
    for attribute, pattern in {
        "地址": "地址|在哪|位置|什么地方|怎么走|哪里|哪儿",
        "电话": "电话|联系方式|号码|联系",
        "评分": "评分|多少分|几分|分数|评价|分高",
        "价格": "价格|多少钱|价位|房价|价钱|费用|花费",
        "人均消费": "人均|消费|多少钱|价格|花费",
        "门票": "票|多少钱|收费|免费|价格|要钱|花钱",
        "营业时间": "营业|几点|开门|关门|时间",
        "游玩时间": "玩多久|多长|多久|时长|时间",
        "推荐菜": "菜|招牌|好吃的",
        "酒店类型": "类型|什么型|型的",
        "酒店设施": "设施|服务|提供|wifi|停车|宽带|早餐|健身|泳池|热水|吹风机|叫醒|寄存|接机|接站|租车|酒吧|桑拿|暖气|无烟",
        "地铁": "地铁",
        "周边景点": "景点|游玩|玩|逛|转|溜达|参观|景",
        "周边餐馆": "餐|吃|美食|饭",
        "周边酒店": "酒店|宾馆|休息|住",
    }.items()
}
NEAR = re.compile("周边|附近|周围|旁边")
WANT = re.compile("推荐(?!菜)|找|想去|想吃|想住|想要|有没有|预订|预定|订|建议|介绍|选|要去")
BARE = re.compile("推荐(?!菜)|找|想去|想吃|想住|想要")  # asks for a place even without a condition
NOUN = re.compile("(?P<酒店>酒店|宾馆)|(?P<餐馆>餐馆|餐厅|饭店|饭馆)|(?P<景点>景点|地方玩)")
VERB = re.compile("(?P<酒店>住|休息)|(?P<餐馆>吃|用餐)|(?P<景点>玩|逛|参观)")
SCORE = re.compile(r"(\d(?:\.\d)?)\s*分")
RANGE = re.compile(r"(\d+)\s*元?\s*(?:-|到|至|—|~)\s*(\d+)(?!\s*(?:小时|天|分))")
BELOW = re.compile(r"(\d+)\s*元?(?:以下|以内|之内)")
ABOVE = re.compile(r"(\d+)\s*元(?:以上|往上)")
DURATION = re.compile(r"\d+(?:\.\d+)?\s*(?:小时|天)(?:\s*-\s*\d+(?:\.\d+)?\s*(?:小时|天))?")
TYPE = re.compile("经济型|舒适型|高档型|豪华型")
FIRST_ASKED = ("地址", "电话", "地铁", "营业时间")  # of a place that is found, besides what was demanded
FACILITY_STEMS = (
    "wifi", "宽带", "吹风机", "热水", "暖气", "会议室", "健身", "无烟", "商务中心", "接站", "接机", "洗衣", "行李寄存",
    "叫醒", "早餐", "中式餐厅", "西式餐厅", "接待外宾", "残疾人", "租车", "市内电话", "长途电话", "酒吧", "棋牌",
    "室内游泳池", "室外游泳池", "桑拿", "SPA", "停车", "小孩", "温泉",
)  # fmt: skip


def know(turns: Sequence[Utterance], places: Places) -> tuple[Utterance, ...]:
    """The turns, each assistant's with the facts that are looked up before it is written."""
    if not places.by_name:
        return tuple(turns)
    known: list[Utterance] = []
    named: list[str] = []
    asked = ""
    for turn in turns:
        if turn.role == "assistant":
            before = said_now(named, words_in(asked, places.names))
            known.append(replace(turn, facts=look_up(asked, before, places) if asked else ()))
            named = named_after(named, asked, turn.text, places)
            asked = ""
        else:
            known.append(turn)
            named = said_now(named, words_in(asked, places.names))
            asked = turn.text
    return tuple(known)


def named_after(named: Sequence[str], asked: str, answered: str, places: Places) -> list[str]:
    """The places named after an exchange, the newest last: of neighbours that were listed, the place itself."""
    before = said_now(named, words_in(asked, places.names))
    after = said_now(before, words_in(answered, places.names))
    if NEAR.search(asked) and not WANT.search(asked):
        return said_now(after, subjects_of(asked, before, places)[:1])
    return after


def said_now(named: Sequence[str], names: Sequence[str]) -> list[str]:
    return [name for name in named if name not in names] + list(names)


def look_up(asked: str, named: Sequence[str], places: Places) -> tuple[str, ...]:
    """Facts for a reply to `asked`. `named`: the places said so far, the newest last."""
    subjects = subjects_of(asked, named, places)
    domain = domain_sought(asked)
    if domain and WANT.search(asked):
        near = places.by_name[subjects[0]] if subjects and NEAR.search(asked) else None
        wanted = conditions(asked, domain, places)
        if wanted or (near is None and BARE.search(asked)):
            return search_lines(asked, domain, wanted, near, places)
    return tuple(line for name in subjects[:NAMED] for line in attribute_lines(asked, places.by_name[name]))


def subjects_of(asked: str, named: Sequence[str], places: Places) -> list[str]:
    """The places that `asked` is about, the likeliest first: named in it, else the newest of the kind it speaks of."""
    here = words_in(asked, places.names)
    newest = [name for name in reversed(named) if name in places.by_name]
    if here:
        return here
    near = NEAR.search(asked)
    kind = NOUN.search(asked[: near.start()] if near else asked)
    of_kind = [name for name in newest if kind and places.by_name[name]["领域"] == kind.lastgroup]
    return of_kind or newest


def domain_sought(asked: str) -> str | None:
    """The domain that is mentioned last: "在酒店附近找一个景点" asks for a sight."""
    mentions = list(NOUN.finditer(asked)) or list(VERB.finditer(asked))
    return mentions[-1].lastgroup if mentions else None


def conditions(asked: str, domain: str, places: Places) -> list[Condition]:
    """What the turn demands of a place, each as a test of a record; the price last, as the first to give up."""
    money = MONEY[domain]
    found: list[Condition] = []
    if dishes := words_in(asked, places.dishes) if domain == "餐馆" else []:
        names = frozenset.intersection(*(places.serving[dish] for dish in dishes))
        found.append(lambda record: record["名称"] in names)
    if kind := TYPE.search(asked) if domain == "酒店" else None:
        found.append(lambda record: record["酒店类型"] == kind.group())
    if facilities := facilities_in(asked, places) if domain == "酒店" else []:
        found.append(lambda record: all(one in record["酒店设施"] for one in facilities))
    if duration := DURATION.search(asked) if domain == "景点" else None:
        time = duration.group().replace(" ", "")
        found.append(lambda record: record["游玩时间"].replace(" ", "") == time)
    if score := SCORE.search(asked):
        found.append(lambda record: (record["评分"] or 0) >= float(score.group(1)))
    low, high = price_range(asked)
    if (low, high) != (0, math.inf):
        found.append(lambda record: record[money] is not None and low <= record[money] <= high)
    elif "免费" in asked and domain == "景点":
        found.append(lambda record: record[money] == 0)
    return found


def price_range(asked: str) -> tuple[float, float]:
    if between := RANGE.search(asked):
        return float(between.group(1)), float(between.group(2))
    below, above = BELOW.search(asked), ABOVE.search(asked)
    return float(above.group(1)) if above else 0, float(below.group(1)) if below else math.inf


def facilities_in(asked: str, places: Places) -> list[str]:
    return [one for one in places.facilities if one in asked]


def search_lines(
    asked: str, domain: str, wanted: Sequence[Condition], near: Record | None, places: Places
) -> tuple[str, ...]:
    """The first places of the database that meet every condition; where none does, those that meet most of them."""
    everyone = places.records.get(domain, ())
    if near is not None:
        everyone = [places.by_name[name] for name in near[f"周边{domain}"] if name in places.by_name]
    met = list(islice((record for record in everyone if all(test(record) for test in wanted)), FOUND))
    lines = [] if met else [f"{NOTHING}的{domain}"]
    if not met:
        met = sorted(everyone, key=lambda record: unmet(record, wanted))[:FOUND]
    lines += [found_line(record) for record in met]
    if met:
        lines += attribute_lines(asked, met[0], FIRST_ASKED)
    return tuple(lines)


def unmet(record: Record, wanted: Sequence[Condition]) -> tuple[int, list[bool]]:
    """How many conditions a record misses; of equals, that which misses the later one comes first."""
    missed = [not test(record) for test in wanted]
    return sum(missed), missed


def found_line(record: Record) -> str:
    """`八达岭长城 评分 4.6分 门票 35元`."""
    shown = ("评分", MONEY[record["领域"]])
    return " ".join(
        [record["名称"], *(f"{name} {value_of(record, name)}" for name in shown if record[name] is not None)]
    )


def attribute_lines(asked: str, record: Record, among: Collection[str] = ATTRIBUTES) -> list[str]:
    """`故宫 门票 60元`, for each attribute of the record that is asked for."""
    lines = []
    near = NEAR.search(asked)
    for attribute, pattern in ATTRIBUTES.items():
        text = asked[near.end() :] if near and attribute.startswith("周边") else asked
        if attribute in record and attribute in among and pattern.search(text):
            if attribute.startswith("周边") and not near:
                continue
            lines += facility_lines(asked, record) if attribute == "酒店设施" else [fact_line(record, attribute)]
    return lines


def fact_line(record: Record, attribute: str) -> str:
    return f"{record['名称']} {attribute} {value_of(record, attribute)}"


def facility_lines(asked: str, record: Record) -> list[str]:
    """Yes or no for each facility that is asked for by name; without one, the first of the list."""
    spoken = asked.lower()
    stems = [one for one in FACILITY_STEMS if one.lower() in spoken]
    if not stems:
        return [fact_line(record, "酒店设施")]
    offered = [[one for one in record["酒店设施"] if stem in one] for stem in stems]
    return [
        f"{record['名称']} {'、'.join(having) if having else stem} {'有' if having else '无'}"
        for stem, having in zip(stems, offered, strict=True)
    ]
