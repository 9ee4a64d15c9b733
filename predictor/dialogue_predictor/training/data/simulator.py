"""Chinese task dialogues out of CrossWOZ's templates and database: goal, state, acts, words. Seeded.

A goal has one to three parts. In each the user looks for a place under conditions that some record meets (in the
database, or among the neighbours of the last place), or goes to one by name, then asks for properties. The assistant
answers from what the lookup finds for the user's words, the same lookup that real dialogues get their facts from: an
answer that its facts do not hold is not said. An act that no words are found for is left out.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from dialogue_predictor.training.data.acts import FACILITY, Choices, Request, meets, neighbours, read_request, wishes
from dialogue_predictor.training.data.answers import Values, can_say, each, held, properties
from dialogue_predictor.training.data.dialogues import Dialogue, Utterance
from dialogue_predictor.training.data.lookup import FACILITY_STEMS, NOTHING, look_up, named_after, said_now
from dialogue_predictor.training.data.places import DOMAINS, MONEY, Places, Record, value_of, words_in
from dialogue_predictor.training.data.wordings import Acts, Wordings, read_wordings

TRIES = 5
TOO_STRICT, NEARBY, BY_NAME, SEVERAL, THANKED, TRAVELLED = 0.25, 0.4, 0.2, 0.4, 0.7, 0.2
THANKS = ("General+thank+none",)
FAREWELLS = (("General+welcome+none",), ("General+welcome+none",), ("General+bye+none",))
TRAVEL: Mapping[str, Acts] = {
    "出租": tuple(sorted(("Inform+出租+出发地", "Inform+出租+目的地", "Request+出租+车型", "Request+出租+车牌"))),
    "地铁": tuple(
        sorted(
            (
                "Inform+地铁+出发地",
                "Inform+地铁+目的地",
                "Request+地铁+出发地附近地铁站",
                "Request+地铁+目的地附近地铁站",
            )
        )
    ),
}


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a goal: how a place is come by and what is then asked about it."""

    first: Request
    asks: tuple[Request, ...]


@dataclass(slots=True)
class State:
    """What was said so far: turns, the names in them (the newest last) and the places that were spoken of."""

    turns: list[Utterance] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    visited: list[Record] = field(default_factory=list)

    def add(self, said: str, facts: tuple[str, ...], answered: str, places: Places) -> None:
        self.turns += [Utterance("user", said), Utterance("assistant", answered, facts)]
        self.named = named_after(self.named, said, answered, places)

    @property
    def place(self) -> Record | None:
        return self.visited[-1] if self.visited else None


def simulate(folder: Path, count: int, seed: int) -> list[Dialogue]:
    """`count` dialogues from a CrossWOZ folder; none where it has no templates."""
    wordings = read_wordings(folder)
    return Simulator(wordings).dialogues(count, seed) if wordings else []


class Simulator:
    def __init__(self, wordings: Wordings) -> None:
        self._words = wordings
        self._places = wordings.places
        self._facilities = sorted(
            one for one in wordings.places.facilities if any(stem in one for stem in FACILITY_STEMS)
        )
        read = [request for request in map(read_request, wordings.user) if request]
        kinds: dict[tuple[str, str, str | None], list[Request]] = {}
        for request in read:
            kind = "seek" if request.seeks else "name" if request.names else "ask"
            kinds.setdefault((kind, request.domain, request.near), []).append(request)
            if kind == "name" and request.near is None:
                kinds.setdefault(("ask", request.domain, None), []).append(request)
        self._choices = {kind: Choices(requests, wordings.user) for kind, requests in kinds.items()}
        self._domains = [domain for domain in DOMAINS if ("seek", domain, None) in kinds]

    def dialogues(self, count: int, seed: int) -> list[Dialogue]:
        """Seeded: the same seed gives the same dialogues. Those in which nothing could be said are drawn again."""
        draw = random.Random(seed)
        found: list[Dialogue] = []
        while len(found) < count and self._domains:
            turns = self.play(self.goal(draw), draw)
            if turns:
                found.append(Dialogue(f"crosswoz-simulated-{seed}-{len(found)}", "crosswoz", "zh", "simulated", turns))
        return found

    def goal(self, draw: random.Random) -> list[Part]:
        parts: list[Part] = []
        last = None
        for _ in range(draw.choice((1, 2, 2, 3))):
            domain = draw.choice(self._domains)
            near = last if draw.random() < NEARBY else None
            kind = "name" if draw.random() < BY_NAME else "seek"
            choices = self._choices.get((kind, domain, near)) or self._choices["seek", domain, None]
            parts.append(Part(choices.draw(draw), self.asks(domain, draw)))
            last = domain
        return parts

    def asks(self, domain: str, draw: random.Random) -> tuple[Request, ...]:
        """One to three questions, none for a property twice."""
        chosen: list[Request] = []
        choices = self._choices.get(("ask", domain, None))
        for _ in range(draw.choice((1, 2, 2, 3)) if choices else 0):
            request = choices.draw(draw) if choices else None
            if request and not {*request.asked} & {slot for one in chosen for slot in one.asked}:
                chosen.append(request)
        return tuple(chosen)

    def play(self, goal: Sequence[Part], draw: random.Random) -> tuple[Utterance, ...]:
        """The turns of a dialogue with this goal; fewer where no words are found, none where there are none at all."""
        state = State()
        for part in goal:
            if not any(self.come_by(part.first, state, draw) for _ in range(TRIES)):
                continue
            told = {*part.first.asked}
            for request in part.asks:
                place = state.place
                if place and not told & {*request.asked}:
                    told |= {*request.asked}
                    any(self.ask(request, place, state, draw) for _ in range(TRIES))
        if len(state.visited) > 1 and draw.random() < TRAVELLED:
            self.travel(state, draw)
        if state.turns and draw.random() < THANKED:
            said, answered = (
                self.word(THANKS, {}, state, draw),
                self.reply([frozenset(draw.choice(FAREWELLS))], {}, (), draw),
            )
            if said and answered:
                state.add(said, self.facts(said, state), answered, self._places)
        return tuple(state.turns)

    def come_by(self, request: Request, state: State, draw: random.Random) -> bool:
        """The user looks for a place, or goes to one by name. Whether words were found for it and for an answer."""
        around = state.place if request.near else None
        if request.near and (around is None or around["领域"] != request.near):
            return False
        among = neighbours(around, request.domain, self._places) if around else self._places.records[request.domain]
        if not among:
            return False
        target = draw.choice(among)
        if not request.seeks:
            return self.ask(request, target, state, draw)
        wanted = wishes(target, request.wanted, draw)
        if wanted is None:
            return False
        if len(wanted) > 1 and draw.random() < TOO_STRICT:
            slot = draw.choice(request.wanted)
            copies = [one for one in request.wanted if one == slot]
            wanted |= wishes(draw.choice(among), copies, draw) or {}
        facilities = self.facilities(request, target, draw)
        values = {f"{request.domain}+{slot}": found for slot, found in wanted.items()}
        values[f"{request.domain}+{FACILITY}"] = facilities
        if around:
            values[f"{around['领域']}+名称"] = [around["名称"]]
        said = self.word(request.acts, values, state, draw, near=around is not None)
        if said is None:
            return False
        facts = self.facts(said, state)
        found = [self._places.by_name[name] for name in self.named_in(facts, request.domain)]
        fitting = [record for record in found if all(meets(record, *wish) for wish in each(wanted))]
        relaxed = bool(facts) and facts[0].startswith(NOTHING)
        if not found or relaxed == bool(fitting):
            return False  # the lookup took the words for another demand than was meant
        answered = self.found(request, wanted, facilities, fitting or found[:1], relaxed, facts, draw)
        named = [name for name in words_in(answered or "", self._places.names) if self._places.by_name[name] in found]
        if answered is None or not named:
            return False
        state.add(said, facts, answered, self._places)
        state.visited.append(self._places.by_name[named[-1]])
        return True

    def found(
        self,
        request: Request,
        wanted: Mapping[str, Sequence[str]],
        facilities: Sequence[str],
        places: Sequence[Record],
        relaxed: bool,
        facts: Sequence[str],
        draw: random.Random,
    ) -> str | None:
        """Names one place or several, what was asked of the first, and where not all fits, what does not."""
        domain, first = request.domain, places[0]
        if not relaxed and len(places) > 1 and not request.asked and draw.random() < SEVERAL:
            names = {f"{domain}+名称": [record["名称"] for record in places]}
            return self.reply([frozenset([f"Recommend+{domain}+名称"])], names, facts, draw, sorry=False)
        missed = [slot for slot, value in each(wanted) if not meets(first, slot, value)]
        told = [slot for slot in (missed or wanted) if slot in ("评分", MONEY[domain]) and first[slot] is not None]
        values = {f"{domain}+名称": [first["名称"]], **properties(first, request, facilities)}
        required = {f"Inform+{act}" for act in values}
        values |= {f"{domain}+{slot}": [value_of(first, slot)] for slot in told}
        extras = [
            {f"Inform+{domain}+{slot}" for slot in chosen} for size in (0, 1) for chosen in combinations(told, size)
        ]
        kinds = [frozenset(required | extra) for extra in extras]
        if relaxed:
            kinds += [kind | {f"NoOffer+{domain}+none"} for kind in kinds]
        return self.reply(kinds, values, facts, draw, sorry=relaxed)

    def ask(self, request: Request, place: Record, state: State, draw: random.Random) -> bool:
        """The user asks for properties of a place. Whether words were found for it and for an answer."""
        facilities = self.facilities(request, place, draw)
        asked = {f"{request.domain}+名称": [place["名称"]], f"{request.domain}+{FACILITY}": facilities}
        said = self.word(request.acts, asked, state, draw, near=bool(request.near) or None)
        if said is None:
            return False
        facts = self.facts(said, state)
        values = properties(place, request, facilities)
        about = [fact for fact in facts if fact.startswith(f"{place['名称']} ")]
        answered = self.reply([frozenset(f"Inform+{act}" for act in values)], values, about, draw)
        if answered is None:
            return False
        state.add(said, facts, answered, self._places)
        if state.place is not place:
            state.visited.append(place)
        return True

    def travel(self, state: State, draw: random.Random) -> bool:
        """A taxi or the metro between the last two places."""
        start, end = (record["名称"] for record in state.visited[-2:])
        by = draw.choice(("出租", "地铁"))
        ends = {f"{by}+出发地": [start], f"{by}+目的地": [end]}
        if by == "出租":
            values: Values = {"出租+车型": ["#CX"], "出租+车牌": ["#CP"]}
        else:
            stations = {ask: self._places.by_name[name]["地铁"] for ask, name in (("出发地", start), ("目的地", end))}
            values = {
                f"地铁+{ask}附近地铁站" + ("" if name else "+无"): [name] if name else []
                for ask, name in stations.items()
            }
        said = self.word(TRAVEL[by], ends, state, draw)
        if said is None:
            return False
        facts = self.facts(said, state)
        answered = self.reply(
            [frozenset(f"Inform+{act}" for act in values)], values, None if by == "出租" else facts, draw
        )
        if answered is None:
            return False
        state.add(said, facts, answered, self._places)
        return True

    def word(
        self,
        acts: Acts,
        values: Mapping[str, Sequence[str]],
        state: State,
        draw: random.Random,
        near: bool | None = None,
    ) -> str | None:
        """The acts in a user's words that fit this point of the dialogue."""
        last = state.place["领域"] if state.place else None
        wordings = self._words.user.get(acts, ())
        for _ in range(TRIES if wordings else 0):
            wording = draw.choice(wordings)
            fits = not (wording.opens if state.turns else wording.goes_on) and wording.after in (None, last)
            if fits and near in (None, wording.near):
                return wording.filled(values)
        return None

    def reply(
        self,
        kinds: Sequence[frozenset[str]],
        values: Mapping[str, Sequence[str]],
        facts: Sequence[str] | None,
        draw: random.Random,
        sorry: bool | None = None,
    ) -> str | None:
        """Acts of one of these kinds in the assistant's words, all of whose values the facts hold (None: any values)."""
        possible = [acts for kind in kinds for acts in self._words.answers.get(kind, ()) if can_say(acts, values)]
        for _ in range(TRIES if possible else 0):
            wording = draw.choice(self._words.system[draw.choice(possible)])
            said = [values[act][position] for _, act, position in wording.slots]
            if sorry in (None, wording.sorry) and (facts is None or all(held(value, facts) for value in said)):
                return wording.filled(values)
        return None

    def facilities(self, request: Request, place: Record, draw: random.Random) -> list[str]:
        """Distinct facilities to ask for, about half of them what the place has."""
        count = request.asked.count(FACILITY)
        offered = [one for one in place[FACILITY] if one in self._facilities] if count else []
        some = [draw.choice(offered if offered and draw.random() < 0.5 else self._facilities) for _ in range(9 * count)]
        return list(dict.fromkeys(some))[:count]

    def facts(self, said: str, state: State) -> tuple[str, ...]:
        return look_up(said, said_now(state.named, words_in(said, self._places.names)), self._places)

    def named_in(self, facts: Sequence[str], domain: str) -> list[str]:
        """The places that lines of facts are about."""
        names = dict.fromkeys(name for fact in facts for name in words_in(fact, self._places.names)[:1])
        return [name for name in names if self._places.by_name[name]["领域"] == domain]
