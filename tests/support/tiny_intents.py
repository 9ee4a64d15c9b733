"""Corpora of a few dialogues with intents, described services and facts, in the files and the format of the real ones."""

import json
from pathlib import Path

from support.tiny_corpora import Record, dialogue, write_corpora, write_jsonl

SEEN = {"Find": "search for a restaurant", "Book": "book a table at a restaurant"}
UNSEEN = {"Play": "play a song", "Buy": "buy a song"}
ASKED = {"Find": "I want to find a restaurant, number {}.", "Book": "Please book a table, number {}."}


def write_intents(data: Path) -> Path:
    """`write_corpora`, but SGD has intents: Food_1 in both splits, Songs_1 in validation alone. Some turns have facts."""
    write_corpora(data)
    train = [food(f"t{at}", intent, at) for at in range(12) for intent in SEEN]
    dev = [food(f"d{at}", intent, 100 + at) for at in range(3) for intent in SEEN]
    dev += [
        marked(dialogue("s0", "en", "Please play a song.", "Now playing."), "Songs_1/Play"),
        marked(dialogue("s1", "en", "I want to buy it.", "You have bought it."), "Songs_1/Buy"),
    ]
    write_jsonl(data / "sgd/train.jsonl.gz", train)
    write_jsonl(data / "sgd/dev.jsonl.gz", dev)
    for split, services in (("train", {"Food_1": SEEN}), ("dev", {"Food_1": SEEN, "Songs_1": UNSEEN})):
        described = [{"service": name, "description": name, "intents": intents} for name, intents in services.items()]
        (data / f"sgd/{split}_services.json").write_text(json.dumps(described), encoding="utf-8")
    return data


def food(name: str, intent: str, number: int) -> Record:
    asked, answer = ASKED[intent].format(number), f"The price is {number} dollars."
    record = marked(dialogue(name, "en", asked, answer, "Thank you.", "You are welcome."), f"Food_1/{intent}")
    turns = list(record["turns"])
    turns[1] = turns[1] | {"call": {}, "facts": [{"price": f"{number} dollars"}]}
    return {**record, "turns": turns}


def marked(record: Record, intent: str) -> Record:
    """The dialogue with an intent on all of its user's turns."""
    turns = [turn | ({"intents": [intent]} if turn["speaker"] == "user" else {}) for turn in record["turns"]]
    return {**record, "turns": turns}
