"""Pairs of a user's turn and the description of what it intends: they align sentence vectors with descriptions.

A vector that stands near the description of its intent finds intents it was never trained on, by what is written about
them. Intents of one name in services of one domain (two restaurant services, say) are no negatives of each other.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from dialogue_predictor.text.special import EOS_ID, ROLE_IDS
from dialogue_predictor.text.tokenizer import Tokenizer
from dialogue_predictor.training.batches import Pairs, masked_rows
from dialogue_predictor.training.data.intents import intent_turns, services

LONGEST = 48


@dataclass(frozen=True, slots=True)
class IntentPair:
    """Ids of a turn and of its intent's description; `kind` is the same where two intents are taken for one."""

    turn: tuple[int, ...]
    description: tuple[int, ...]
    kind: str


def sentence_ids(text: str, tokenizer: Tokenizer, longest: int = LONGEST) -> tuple[int, ...]:
    """`<user> text </s>`: a sentence alone, as it is read when its vector is wanted."""
    return (ROLE_IDS["user"], *tokenizer.encode(text)[: longest - 2], EOS_ID)


def intent_pairs(data: Path, tokenizer: Tokenizer) -> list[IntentPair]:
    """Of the training split; none where no corpus under `data` describes what its users intend."""
    try:
        intents, turns = services(data, "train"), intent_turns(data, "train")
    except FileNotFoundError:
        return []
    descriptions = {intent.label: sentence_ids(intent.description, tokenizer) for intent in intents}
    return [
        IntentPair(sentence_ids(text, tokenizer), descriptions[label], kind_of(label))
        for text, label in turns
        if label in descriptions
    ]


def kind_of(intent: str) -> str:
    """`Restaurants_2/FindRestaurants` → `Restaurants/FindRestaurants`."""
    service, _, name = intent.partition("/")
    return f"{service.rpartition('_')[0] or service}/{name}"


def endless_pairs(pairs: Sequence[IntentPair], rows: int, seed: int, skip: int = 0) -> Iterator[Pairs]:
    """Batches of `rows` pairs for ever, intents drawn alike however often they occur; each follows from seed and number."""
    kinds: dict[str, list[IntentPair]] = {}
    for pair in pairs:
        kinds.setdefault(pair.kind, []).append(pair)
    names = sorted(kinds)
    number = skip
    while True:
        draw = random.Random(f"{seed}/pairs/{number}")
        yield collate_pairs([draw.choice(kinds[draw.choice(names)]) for _ in range(rows)])
        number += 1


def collate_pairs(pairs: Sequence[IntentPair]) -> Pairs:
    first, first_mask = masked_rows([pair.turn for pair in pairs])
    second, second_mask = masked_rows([pair.description for pair in pairs])
    same = torch.tensor([[one.kind == other.kind for other in pairs] for one in pairs])
    return Pairs(first, first_mask, second, second_mask, same)
