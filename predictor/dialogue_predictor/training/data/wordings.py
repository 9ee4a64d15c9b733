"""How people word dialogue acts: CrossWOZ's templates, those that say nothing of their own about a place.

A template that names a place, a price or a dish outside its slots was written about some other record; filled from ours
it would contradict the facts. Those are left out, and so are whole acts of several domains at once.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dialogue_predictor.training.data.corpora import read_jsonl
from dialogue_predictor.training.data.lookup import FACILITY_STEMS, NEAR, TYPE
from dialogue_predictor.training.data.places import Places, read_places, words_in

Acts = tuple[str, ...]  # sorted; as often as it is said

SLOT = re.compile(r"\[([^\[\]]+?)(\d*)\]")
LITERAL = re.compile(r"http|[A-Za-z]{12,}|\d|免费" + f"|{TYPE.pattern}")
UNIT = re.compile(r"\](?:分|元)")  # values have theirs
DENIED = re.compile("(?:没有|没|无)[^，。？！]{0,6}?(酒店|餐馆|景点)")
GREETING = re.compile("^(?:你好|您好|你们好|亲|hi|在吗)", re.IGNORECASE)
GOES_ON = re.compile(
    "^(?:好|嗯|恩|收到|OK|ok|哦|噢|行|可以|那|谢|知道|了解|记|太|明白|没|真|不|也|是|哇|对|再|完|还)|再|最后|还要|还想|另外|接下来|然后|其他|其它|这家|这个|它|他家"
)
SORRY = re.compile("抱歉|不好意思|对不起|遗憾|可惜|没有|没找到|不符|只有|只能|但|不过|虽然|要不|不然|既然|超出|贵")
AFTER: Mapping[str, re.Pattern[str]] = {
    "餐馆": re.compile("吃完|吃饱|用餐后|用餐结束|饭后|吃好"),
    "景点": re.compile("(?:游玩|游览|参观|游)(?:后|结束|之后|完)|玩完|逛完|溜达完|爬完|转完|玩累|玩好|玩后"),
    "酒店": re.compile("住下|入住后|入住之后|安顿|安排[好完]|定完酒店|订完酒店"),
}


@dataclass(frozen=True, slots=True)
class Wording:
    """A template. `slots`: what stands in brackets, the act without its intent, and which of its values.

    `opens` and `goes_on`: whether it fits only a beginning or no beginning. `after`: the domain it says it comes from.
    `near`: it speaks of the surroundings. `sorry`: it says that not everything fits.
    """

    text: str
    slots: tuple[tuple[str, str, int], ...]
    opens: bool
    goes_on: bool
    after: str | None
    near: bool
    sorry: bool

    def filled(self, values: Mapping[str, Sequence[str]]) -> str:
        """Raises KeyError or IndexError when there is no value for a slot."""
        text = self.text
        for bracket, act, position in self.slots:
            text = text.replace(bracket, values[act][position], 1)
        return text


Worded = Mapping[Acts, Sequence[Wording]]


@dataclass(frozen=True)
class Wordings:
    user: Worded
    system: Worded
    places: Places

    @cached_property
    def answers(self) -> Mapping[frozenset[str], Sequence[Acts]]:
        """The assistant's acts by which they are, however often each."""
        kinds: dict[frozenset[str], list[Acts]] = {}
        for acts in self.system:
            kinds.setdefault(frozenset(acts), []).append(acts)
        return kinds


def read_wordings(folder: Path) -> Wordings | None:
    """The templates and places of a CrossWOZ folder; None when they are not there."""
    files = [folder / f"templates_{side}.jsonl.gz" for side in ("user", "system")]
    if not all(path.exists() for path in files):
        return None
    places = read_places(folder)
    user, system = ({acts_of(one["acts"]): one["texts"] for one in read_jsonl(path)} for path in files)
    return Wordings(worded(user, places), worded(system, places), places)


def acts_of(joined: str) -> Acts:
    return tuple(sorted(joined.split("*")))


def worded(texts: Mapping[Acts, Sequence[str]], places: Places) -> Worded:
    """The templates of each act sequence that can be filled and say nothing else."""
    read = {acts: [wording_of(text) for text in said if is_open(text, acts, places)] for acts, said in texts.items()}
    return {acts: wordings for acts, wordings in read.items() if acts != ("",) and wordings}


def is_open(text: str, acts: Acts, places: Places) -> bool:
    """Whether a template leaves places, numbers and dishes to its slots, and its slots to its acts."""
    itself = SLOT.sub("", text)
    numbers: dict[str, set[int]] = {}
    for act, number in SLOT.findall(text):
        numbers.setdefault(act, set()).add(int(number or 1))
    if UNIT.search(text) or any(found != set(range(1, acts.count(act) + 1)) for act, found in numbers.items()):
        return False
    if LITERAL.search(itself) or words_in(itself, places.names) or words_in(itself, places.dishes):
        return False
    if not any("酒店设施" in act for act in acts) and any(stem in itself for stem in FACILITY_STEMS):
        return False
    denied = {act.split("+")[2].removeprefix("周边") for act in acts if act.endswith("+无")}
    return all(kind in denied or not denied for kind in DENIED.findall(itself))


def wording_of(text: str) -> Wording:
    slots = tuple(
        (match.group(), match.group(1).split("+", 1)[1], int(match.group(2) or 1) - 1) for match in SLOT.finditer(text)
    )
    after = next((domain for domain, pattern in AFTER.items() if pattern.search(text)), None)
    opens = bool(GREETING.search(text))
    goes_on = bool(GOES_ON.search(text)) and not opens
    return Wording(text, slots, opens, goes_on, after, bool(NEAR.search(SLOT.sub("", text))), bool(SORRY.search(text)))


def choose(wordings: Sequence[Wording], draw: random.Random) -> Wording | None:
    return wordings[int(draw.random() * len(wordings))] if wordings else None
