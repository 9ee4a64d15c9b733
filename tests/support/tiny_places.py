"""A database of a few places, in the records of CrossWOZ."""

from typing import Any

from dialogue_predictor.training.data.places import Places


def place(domain: str, name: str, **values: Any) -> dict[str, Any]:
    money = {"酒店": "价格", "餐馆": "人均消费", "景点": "门票"}[domain]
    common: dict[str, Any] = {
        "领域": domain,
        "名称": name,
        "地址": f"{name}路1号",
        "电话": "010-1",
        "评分": 4.5,
        money: 60,
        "地铁": None,
    }
    near: dict[str, list[str]] = {"周边景点": [], "周边餐馆": [], "周边酒店": []}
    own: dict[str, dict[str, Any]] = {
        "酒店": {"酒店类型": "舒适型", "酒店设施": ["吹风机"]},
        "餐馆": {"推荐菜": ["烤鸭"], "营业时间": "9:00-21:00"},
        "景点": {"游玩时间": "1小时 - 2小时"},
    }
    return {**common, **near, **own[domain], **values}


PLACES = Places(
    {
        "酒店": [
            place("酒店", "北京饭店", 价格=900),
            place("酒店", "速8酒店", 价格=200, 酒店设施=["wifi", "吹风机"], 评分=4.0),
        ],
        "餐馆": [place("餐馆", "全聚德", 人均消费=197), place("餐馆", "天兴居", 推荐菜=["炒肝"], 评分=None)],
        "景点": [
            place("景点", "故宫", 周边餐馆=["全聚德", "天兴居"]),
            place("景点", "天安门广场", 门票=0, 周边景点=["故宫"]),
        ],
    }
)
