"""Simulated dialogues: nothing is said that the database does not say, and what was looked for is found."""

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dialogue_predictor.training.data.acts import meets, read_request, wishes
from dialogue_predictor.training.data.dialogues import Dialogue
from dialogue_predictor.training.data.lookup import know
from dialogue_predictor.training.data.places import Places, words_in
from dialogue_predictor.training.data.simulator import Simulator, simulate
from dialogue_predictor.training.data.wordings import Wordings, acts_of, is_open, worded
from support.tiny_corpora import write_jsonl
from support.tiny_places import PLACES

USER = {
    "General+thank+none": ["好的，谢谢。"],
    "General+greet+none*Inform+酒店+价格*Inform+酒店+评分*Request+酒店+名称": [
        "你好，找一家评分[Inform+酒店+评分]，价格[Inform+酒店+价格]的酒店。"
    ],
    "Inform+酒店+酒店类型*Request+酒店+名称": ["我想找一家[Inform+酒店+酒店类型]的酒店。"],
    "Inform+餐馆+推荐菜*Request+餐馆+名称": ["想吃[Inform+餐馆+推荐菜]，推荐一家餐馆。", "吃完想去故宫。"],
    "Inform+景点+门票+免费*Request+景点+名称": ["找一个门票[Inform+景点+门票+免费]的景点。"],
    "Inform+景点+评分*Request+景点+名称": ["找一个评分[Inform+景点+评分]的景点。"],
    "Inform+餐馆+评分*Select+餐馆+源领域+景点": ["在周边找一家评分[Inform+餐馆+评分]的餐馆。"],
    "Request+酒店+电话": ["酒店的电话是多少？"],
    "Request+酒店+酒店设施": ["酒店有[Request+酒店+酒店设施]吗？"],
    "Request+餐馆+周边餐馆": ["餐馆周边有什么餐馆？"],
    "Request+景点+地址*Request+景点+门票": ["景点的地址在哪？门票多少？"],
    "Request+景点+周边餐馆": ["景点周边有什么餐馆？"],
    "Inform+景点+名称*Request+景点+游玩时间": ["[Inform+景点+名称]要玩多久？"],
}
SYSTEM = {
    "General+welcome+none": ["不客气。"],
    "General+bye+none": ["再见。"],
    **{f"Inform+{one}+名称": [f"推荐[Inform+{one}+名称]。"] for one in ("酒店", "餐馆", "景点")},
    **{
        f"Recommend+{one}+名称*Recommend+{one}+名称": [f"[Recommend+{one}+名称1]和[Recommend+{one}+名称2]都行。"]
        for one in ("酒店", "餐馆", "景点")
    },
    **{
        f"NoOffer+{one}+none*Inform+{one}+名称": [f"抱歉，只有[Inform+{one}+名称]。"]
        for one in ("酒店", "餐馆", "景点")
    },
    "Inform+酒店+电话": ["电话是[Inform+酒店+电话]。"],
    "Inform+酒店+酒店设施+是": ["有[Inform+酒店+酒店设施+是]。"],
    "Inform+酒店+酒店设施+否": ["没有[Inform+酒店+酒店设施+否]。"],
    "Inform+餐馆+周边餐馆+无": ["周边没有餐馆。", "周边没有景点。"],
    "Inform+景点+地址*Inform+景点+门票": ["在[Inform+景点+地址]，门票[Inform+景点+门票]。"],
    "Inform+景点+地址*Inform+景点+门票+免费": ["在[Inform+景点+地址]，门票[Inform+景点+门票+免费]。"],
    "Inform+景点+周边餐馆*Inform+景点+周边餐馆": ["有[Inform+景点+周边餐馆2]和[Inform+景点+周边餐馆1]。"],
    "Inform+景点+周边餐馆+无": ["周边没有餐馆。"],
    "Inform+景点+游玩时间": ["玩[Inform+景点+游玩时间]。"],
}


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    user, system = ({acts_of(acts): texts for acts, texts in side.items()} for side in (USER, SYSTEM))
    return Simulator(Wordings(worded(user, PLACES), worded(system, PLACES), PLACES))


@pytest.fixture(scope="module")
def dialogues(simulator: Simulator) -> list[Dialogue]:
    return simulator.dialogues(300, seed=0)


def exchanges(dialogues: list[Dialogue]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for one in dialogues:
        for asked, answered in zip(one.turns[::2], one.turns[1::2], strict=True):
            assert (asked.role, answered.role) == ("user", "assistant")
            yield asked.text, answered.text, answered.facts


def test_every_value_of_an_answer_is_in_the_facts_that_the_lookup_finds(dialogues: list[Dialogue]) -> None:
    patterns = (
        r"电话是(.*)。",
        r"在(.*?)，门票(.*)。",
        r"玩(.*)。",
        r"推荐(.*)。",
        r"^有(.*)和(.*)。",
        r"只有(.*)。",
        r"^有([^和]*)。",
    )
    seen = set()
    for _, answered, facts in exchanges(dialogues):
        for pattern in patterns:
            found = re.search(pattern, answered)
            if found:
                seen.add(pattern)
                assert all(any(value in fact for fact in facts) for value in found.groups()), (answered, facts)
        if answered == "周边没有餐馆。":
            assert any(fact.endswith("周边餐馆 无") for fact in facts)
        if answered.startswith("没有"):
            assert any(fact.endswith(" 无") for fact in facts)
    assert seen == set(patterns)


@pytest.mark.parametrize(
    ("facts", "answered"),
    [(("北京饭店 电话 010-1234",), "电话是010-1234。"), (("北京饭店 电话 010-9999",), None), ((), None)],
)
def test_an_answer_that_its_facts_do_not_hold_is_not_said(
    simulator: Simulator, facts: tuple[str, ...], answered: str | None
) -> None:
    kinds = [frozenset({"Inform+酒店+电话"})]
    assert simulator.reply(kinds, {"酒店+电话": ["010-1234"]}, facts, random.Random(0)) == answered


def test_facts_are_those_that_a_real_dialogue_would_get(dialogues: list[Dialogue]) -> None:
    for one in dialogues[:50]:
        assert know(one.turns, PLACES) == one.turns


def test_a_place_that_is_named_is_what_was_looked_for(dialogues: list[Dialogue]) -> None:
    checked = 0
    for asked, answered, _ in exchanges(dialogues):
        records = [PLACES.by_name[name] for name in words_in(answered, PLACES.names)]
        score = re.search(r"评分(\d(?:\.\d)?)分以上", asked)
        if score and not answered.startswith("抱歉") and records:
            checked += 1
            assert all(record["评分"] >= float(score.group(1)) for record in records)
        if "免费的景点" in asked and records:
            assert all(record["门票"] == 0 for record in records)
        if answered.startswith("抱歉，只有"):
            assert score or "酒店" in asked or "想吃" in asked
    assert checked > 20


def test_dialogues_begin_and_go_on_as_people_do_and_all_kinds_of_acts_occur(dialogues: list[Dialogue]) -> None:
    texts = {turn.text for one in dialogues for turn in one.turns}
    for one in dialogues:
        assert not any(turn.text.startswith("你好") for turn in one.turns[1:])
        assert not one.turns[0].text.startswith("好的")
    assert not any("[" in text for text in texts)
    assert "吃完想去故宫。" not in texts
    assert "周边没有景点。" not in texts
    assert any(text.startswith("抱歉") for text in texts)
    assert any(text.startswith("在周边") for text in texts)
    assert "不客气。" in texts


def test_the_same_seed_gives_the_same_dialogues(tmp_path: Path) -> None:
    for side, texts in (("user", USER), ("system", SYSTEM)):
        write_jsonl(
            tmp_path / f"templates_{side}.jsonl.gz", ({"acts": acts, "texts": said} for acts, said in texts.items())
        )
    for domain, name in (("酒店", "hotel"), ("餐馆", "restaurant"), ("景点", "attraction")):
        write_jsonl(tmp_path / f"database_{name}.jsonl.gz", PLACES.records[domain])
    assert simulate(tmp_path, 20, seed=1) == simulate(tmp_path, 20, seed=1)
    assert simulate(tmp_path, 20, seed=1) != simulate(tmp_path, 20, seed=2)
    assert simulate(tmp_path / "elsewhere", 20, seed=1) == []


@pytest.mark.parametrize(
    ("text", "acts", "fits"),
    [
        ("电话是[Inform+酒店+电话]。", "Inform+酒店+电话", True),
        ("北京饭店的电话是[Inform+酒店+电话]。", "Inform+酒店+电话", False),
        ("电话是[Inform+酒店+电话]，一共3层。", "Inform+酒店+电话", False),
        ("评分是[Inform+酒店+评分]分。", "Inform+酒店+评分", False),
        ("可以吃烤鸭。", "Inform+餐馆+推荐菜", False),
        ("周边没有酒店。", "Inform+景点+周边餐馆+无", False),
        ("[Recommend+酒店+名称1]和[Recommend+酒店+名称1]", "Recommend+酒店+名称*Recommend+酒店+名称", False),
    ],
)
def test_a_template_that_would_contradict_a_record_is_left_out(text: str, acts: str, fits: bool) -> None:
    assert is_open(text, acts_of(acts), PLACES) == fits


def test_requests_are_read_from_acts() -> None:
    near = read_request(acts_of("Inform+景点+名称*Inform+餐馆+评分*Select+餐馆+源领域+景点*Request+餐馆+电话"))
    assert near is not None
    assert (near.domain, near.wanted, near.asked, near.near, near.seeks) == ("餐馆", ("评分",), ("电话",), "景点", True)
    assert read_request(acts_of("General+thank+none")) is None
    assert read_request(acts_of("Inform+餐馆+评分*Inform+酒店+评分")) is None


def test_wishes_of_a_record_are_met_by_it() -> None:
    draw = random.Random(0)
    for domain, slots in (
        ("酒店", ("价格", "评分", "酒店类型")),
        ("餐馆", ("推荐菜", "人均消费")),
        ("景点", ("门票", "游玩时间")),
    ):
        for record in PLACES.records[domain]:
            for slot in slots:
                for wish in (wishes(record, (slot,), draw) or {}).get(slot, ()):
                    assert meets(record, slot, wish)
    assert not meets(PLACES.by_name["速8酒店"], "价格", "900-1000元")
    assert isinstance(PLACES, Places)
