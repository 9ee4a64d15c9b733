"""What the database is asked for: by what was said before a reply, never by the reply."""

import pytest

from dialogue_predictor.training.data.dialogues import Utterance
from dialogue_predictor.training.data.lookup import know, look_up
from support.tiny_places import PLACES


@pytest.mark.parametrize(
    ("asked", "named", "expected"),
    [
        ("故宫的门票多少钱？", [], ["故宫 门票 60元"]),
        ("地址在哪？", ["故宫"], ["故宫 地址 故宫路1号"]),
        ("餐馆的电话是多少？", ["全聚德", "故宫"], ["全聚德 电话 010-1"]),
        ("那里周边有什么餐馆？", ["故宫"], ["故宫 周边餐馆 全聚德、天兴居"]),
        ("周边有酒店吗？", ["故宫"], ["故宫 周边酒店 无"]),
        ("酒店有wifi吗？", ["速8酒店"], ["速8酒店 wifi 有"]),
        ("酒店有叫醒服务吗？", ["速8酒店"], ["速8酒店 叫醒 无"]),
        ("它的评分是多少？", ["天兴居"], ["天兴居 评分 无"]),
        ("谢谢！", ["故宫"], []),
        ("帮我找一家4.5分以上的酒店。", [], ["北京饭店 评分 4.5分 价格 900元"]),
        ("推荐一家价格在100-300元有吹风机的酒店", [], ["速8酒店 评分 4.0分 价格 200元"]),
        ("想吃炒肝，推荐一家餐馆", [], ["天兴居 人均消费 60元"]),
        ("找一个门票免费的景点", [], ["天安门广场 评分 4.5分 门票 免费"]),
        ("在附近找一个4分以上的景点", ["天安门广场"], ["故宫 评分 4.5分 门票 60元"]),
    ],
)
def test_what_is_found(asked: str, named: list[str], expected: list[str]) -> None:
    assert list(look_up(asked, named, PLACES)) == expected


def test_where_nothing_fits_the_price_is_given_up_first() -> None:
    found = look_up("推荐一家价格500元以上能提供wifi的酒店", [], PLACES)
    assert found == ("没有完全符合的酒店", "速8酒店 评分 4.0分 价格 200元", "北京饭店 评分 4.5分 价格 900元")


def test_a_reply_has_no_part_in_its_own_facts() -> None:
    asked = Utterance("user", "推荐一家餐馆")
    one, other = (know([asked, Utterance("assistant", text)], PLACES)[1].facts for text in ("去全聚德吧", "去天兴居吧"))
    assert one == other


def test_names_said_by_either_speaker_are_known_later() -> None:
    turns = [
        Utterance("user", "推荐一家餐馆"),
        Utterance("assistant", "去天兴居吧"),
        Utterance("user", "电话呢？"),
        Utterance("assistant", "是010-1。"),
    ]
    assert know(turns, PLACES)[3].facts == ("天兴居 电话 010-1",)


def test_the_neighbours_of_a_place_do_not_become_the_topic() -> None:
    turns = [
        Utterance("user", "故宫周边有什么餐馆？"),
        Utterance("assistant", "有全聚德。"),
        Utterance("user", "电话呢？"),
        Utterance("assistant", "是010-1。"),
    ]
    assert know(turns, PLACES)[3].facts[0] == "故宫 电话 010-1"
