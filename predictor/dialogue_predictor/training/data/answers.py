"""What an answer may say: the values that a record has for what was asked, and whether the facts hold them."""

from collections import Counter
from collections.abc import Mapping, Sequence

from dialogue_predictor.training.data.acts import FACILITY, Request
from dialogue_predictor.training.data.places import LISTED, Record, value_of
from dialogue_predictor.training.data.wordings import Acts

Values = dict[str, list[str]]


def each(wanted: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    return [(slot, value) for slot, values in wanted.items() for value in values]


def properties(record: Record, request: Request, facilities: Sequence[str]) -> Values:
    """What the record says to what was asked, by the acts that tell it: values, none or `无`, yes or no."""
    found: Values = {}
    for slot in request.asked:
        act = f"{request.domain}+{slot}"
        value = record[slot]
        if slot == FACILITY:
            sides = {
                "是": [one for one in facilities if one in value],
                "否": [one for one in facilities if one not in value],
            }
            found |= {f"{act}+{side}": some for side, some in sides.items() if some}
        elif isinstance(value, list):
            members = [one for one in value[:LISTED] if one.strip()]
            found[act if members else f"{act}+无"] = members
        elif value is None:
            found[f"{act}+无"] = []
        elif slot == "门票" and not value:
            found[f"{act}+免费"] = ["免费"]
        else:
            found[act] = [value_of(record, slot)]
    return found


def can_say(acts: Acts, values: Mapping[str, Sequence[str]]) -> bool:
    """Whether there are as many values as the acts tell; facilities are all told, of neighbours some."""
    for act, count in Counter(acts).items():
        intent, _, what = act.partition("+")
        if intent in ("Inform", "Recommend") and not act.endswith("+无"):
            have = len(values[what])
            if have < count or (FACILITY in act and have != count):
                return False
    return True


def held(value: str, facts: Sequence[str]) -> bool:
    """Whether the facts say so; of a facility, that there is none."""
    return any(value in fact or (fact.endswith(" 无") and fact.split(" ")[-2] in value) for fact in facts)
