"""Facts of the corpora, and how they reach an example."""

import json
import random
from pathlib import Path

from dialogue_predictor.text.special import EOS_ID, FACT_ID, ROLE_IDS
from dialogue_predictor.training.data.corpora import read_corpora
from dialogue_predictor.training.data.dialogues import Dialogue, Utterance
from dialogue_predictor.training.data.examples import BUDGETS, Limits, budget_for, examples_of
from dialogue_predictor.training.data.facts import record_lines
from dialogue_predictor.training.data.intents import intent_turns, seen_services, services
from dialogue_predictor.training.data.knowledge import exchanges
from dialogue_predictor.training.data.mixture import forget, read_mixture, swapped
from support.tiny_bundles import tiny_tokenizer
from support.tiny_corpora import Record, dialogue, write_corpora, write_jsonl

FOUND = {"facts": [{"restaurant_name": "Sino", "has_wifi": "True"}], "call": {"service": "R"}}
OTHER = {"facts": [{"restaurant_name": "Bix", "has_wifi": "False"}], "call": {"service": "R"}}


def sgd(*further: Record) -> Record:
    plain = dialogue("t0", "en", "a", "b", "c", "d", "e", "f")
    return {**plain, "turns": [{**turn, **more} for turn, more in zip(plain["turns"], further, strict=True)]}


def test_the_records_of_a_call_stay_known_until_the_next_call(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "sgd/train.jsonl.gz", [sgd({"intents": ["R/Find"]}, FOUND, {}, {}, {}, OTHER)])
    (one,) = read_corpora(tmp_path)["train"]
    sino, bix = "restaurant name: Sino; has wifi: yes", "restaurant name: Bix; has wifi: no"
    assert [turn.facts for turn in one.turns] == [(), (sino,), (), (sino,), (), (bix,)]
    assert one.turns[0].intents == ("R/Find",)


def test_what_was_demanded_comes_last_and_what_records_share_is_said_once() -> None:
    records = [{"city": "Oslo", "name": "A", "wifi": "True"}, {"city": "Oslo", "name": "B", "wifi": "True"}]
    assert record_lines(records, {"city": "Oslo"}) == ("name: A; wifi: yes; city: Oslo", "name: B")


def test_triples_are_known_in_their_own_turn_alone(tmp_path: Path) -> None:
    record = sgd({}, {"facts": [["故宫（北京）", "门票", "60元"]]}, {}, {"facts": []}, {}, {})
    write_jsonl(tmp_path / "kdconv/dev.jsonl.gz", [record])
    splits = read_corpora(tmp_path)
    (one,) = [*splits["train"], *splits["validation"]]
    assert [turn.facts for turn in one.turns] == [(), ("故宫 门票 60元",), (), (), (), ()]


def test_facts_stand_behind_the_newest_turn_of_an_example() -> None:
    turns = (Utterance("user", "a"), Utterance("assistant", "b", ("d", "e")))
    (example,) = examples_of(Dialogue("x", "sgd", "en", "", turns), tiny_tokenizer(), Limits())
    a, b, d, e = (tiny_tokenizer().encode(text)[0] for text in "abde")
    assert example.source == (ROLE_IDS["user"], a, FACT_ID, d, FACT_ID, e, EOS_ID)
    assert example.target == (b, EOS_ID)


def test_a_budget_that_would_cut_the_first_fact_is_raised() -> None:
    assert budget_for([], 64) == 64
    assert budget_for([[9] * 20], 64) == 64
    assert budget_for([[9] * 40], 64) == 128
    assert budget_for([[9] * 400], 64) == BUDGETS[-1]


def test_both_speakers_of_a_conversation_can_be_learnt_from() -> None:
    one = Dialogue("x", "kdconv", "zh", "", (Utterance("user", "a", ("f",)), Utterance("assistant", "b")))
    other = swapped(one)
    assert other.id != one.id
    assert [(turn.role, turn.text, turn.facts) for turn in other.turns] == [
        ("assistant", "a", ("f",)),
        ("user", "b", ()),
    ]


def test_an_answer_about_a_fact_holds_its_value_and_one_without_says_so() -> None:
    subjects = [("故宫", {"门票": "60元", "电话": "010-8"}), ("天坛", {"门票": "15元"})]
    told = {"故宫": ("60元", "010-8"), "天坛": ("15元",)}
    answers = [turn for one in exchanges(subjects, "zh", 300, seed=0) for turn in one.turns if turn.role == "assistant"]
    unknown = [turn for turn in answers if "没有" in turn.text]
    assert 0.05 < len(unknown) / len(answers) < 0.3
    for turn in answers:
        values = [value for values in told.values() for value in values if value in turn.text]
        assert bool(values) != (turn in unknown)
        assert all(any(value in fact for fact in turn.facts) for value in values)
    for turn in unknown:
        name = "故宫" if "故宫" in turn.text else "天坛"
        key = "门票" if "门票" in turn.text else "电话"
        assert not any(fact.startswith(name) and key in fact for fact in turn.facts)
    assert any(len(turn.facts) > 1 for turn in answers)
    assert exchanges(subjects, "zh", 5, seed=1) == exchanges(subjects, "zh", 5, seed=1)


def test_a_forgotten_fact_is_owned_up_to() -> None:
    turns = (Utterance("user", "门票？"), Utterance("assistant", "60元。", ("故宫 门票 60元",)))
    draw = random.Random(0)
    found = [forget(Dialogue("x", "crosswoz", "zh", "", turns), draw) for _ in range(200)]
    changed = [one for one in found if one.turns != turns]
    assert 5 <= len(changed) <= 40
    assert all("没有" in one.turns[1].text and not one.turns[1].facts for one in changed)


def test_no_validation_dialogue_is_trained_on_in_any_guise(tmp_path: Path) -> None:
    data = write_corpora(tmp_path)
    write_jsonl(data / "kdconv/dev.jsonl.gz", (dialogue(f"k{at}", "zh", f"问{at}", f"答{at}") for at in range(40)))
    mixture = read_mixture(data, seed=0, simulated=0)
    held_out = {turn.text for one in mixture.validation for turn in one.turns if one.corpus == "kdconv"}
    trained = {turn.text for part in mixture.parts.values() for one in part for turn in one.turns}
    assert held_out
    assert not held_out & trained
    assert len(mixture.parts["kdconv"]) == 2 * sum(one.corpus == "kdconv" for one in read_corpora(data)["train"])


def test_intents_are_described_and_begin_where_they_are_new(tmp_path: Path) -> None:
    first, again = {"intents": ["R/Find"]}, {"intents": ["R/Find", "R/Book"]}
    write_jsonl(tmp_path / "sgd/train.jsonl.gz", [sgd(first, {}, first, {}, again, {})])
    listed = [{"service": "R", "description": "Places to eat", "intents": {"Find": "find one", "Book": "book one"}}]
    (tmp_path / "sgd/train_services.json").write_text(json.dumps(listed))
    assert intent_turns(tmp_path, "train") == [("a", "R/Find"), ("e", "R/Book")]
    assert [(one.label, one.description) for one in services(tmp_path, "train")] == [
        ("R/Find", "Places to eat: find one"),
        ("R/Book", "Places to eat: book one"),
    ]
    assert seen_services(tmp_path) == {"R"}
