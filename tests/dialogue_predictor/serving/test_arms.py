"""Who answers, as a pure function, and the header that names the variants."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue_predictor.config.spec import Generation
from dialogue_predictor.serving.arms import Arm, choose, read_variants
from support.gateway_part import variant

OWN = Arm("0badcafe", Generation())
ONE, TWO = Arm("00000001", Generation(num_beams=1), 20), Arm("00000002", Generation(num_beams=2), 30)


@pytest.mark.parametrize(
    ("pin", "percentile", "revision", "switched"),
    [
        (None, 0, "00000001", False), (None, 19.99, "00000001", False), (None, 20, "00000002", False),
        (None, 49.99, "00000002", False), (None, 50, "0badcafe", False), (None, 99.99, "0badcafe", False),
        ("0badcafe", 0, "0badcafe", False), ("00000001", 99, "00000001", False), ("00000002", 0, "00000002", False),
        ("deadbeef", 10, "00000001", True), ("deadbeef", 99, "0badcafe", True), ("", 99, "0badcafe", False),
    ],
)  # fmt: skip
def test_a_pin_decides_and_otherwise_the_weights(
    pin: str | None, percentile: float, revision: str, switched: bool
) -> None:
    choice = choose(OWN, (ONE, TWO), pin, percentile)
    assert (choice.arm.revision, choice.switched) == (revision, switched)


@st.composite
def variants(draw: st.DrawFn) -> tuple[Arm, ...]:
    weights = draw(st.lists(st.integers(0, 100), max_size=15).filter(lambda found: sum(found) <= 100))
    return tuple(Arm(f"{at:08x}", Generation(), weight) for at, weight in enumerate(weights))


@given(variants())
def test_of_a_hundred_conversations_each_gets_its_weight(found: tuple[Arm, ...]) -> None:
    answered = [choose(OWN, found, None, percentile).arm.revision for percentile in range(100)]
    for arm in found:
        assert answered.count(arm.revision) == arm.weight
    assert answered.count(OWN.revision) == 100 - sum(arm.weight for arm in found)


@given(variants(), st.data())
def test_a_pin_to_what_is_here_leaves_nothing_to_chance(found: tuple[Arm, ...], data: st.DataObject) -> None:
    arm = data.draw(st.sampled_from((OWN, *found)))
    assert choose(OWN, found, arm.revision, data.draw(st.floats(0, 100, exclude_max=True))) == (arm, False)


@given(variants(), st.text(), st.floats(0, 100, exclude_max=True))
def test_any_pin_is_answered_by_somebody_who_is_here(found: tuple[Arm, ...], pin: str, percentile: float) -> None:
    choice = choose(OWN, found, pin, percentile)
    assert choice.arm in (OWN, *found)
    assert choice.switched == (pin not in ("", OWN.revision, *(arm.revision for arm in found)))


def read(value: Any) -> tuple[Arm, ...]:
    return read_variants(json.dumps(value), "0badcafe")


def test_only_the_pods_own_entry_is_read() -> None:
    mine = [variant("00000001", 33.3333, numBeams=1, lengthPenalty=0.5), variant("00000002")]
    found = read({"0badcafe": mine, "feedbeef": ["what other pods get is not our business"]})
    generation = Generation(num_beams=1, max_new_tokens=6, length_penalty=0.5, no_repeat_ngram=3)
    assert found[0] == Arm("00000001", generation, 33.3333)
    assert found[1].weight == 0
    assert read({"feedbeef": mine}) == read({}) == ()


def test_percentages_that_were_rounded_up_are_fine() -> None:
    assert len(read({"0badcafe": [variant("00000001", 33.3334), variant("00000002", 66.6667)]})) == 2


ENTRY = variant("00000001", 5)
MALFORMED: list[tuple[str, Any]] = [
    ("a list", []), ("a word", "x"), ("an entry that is no list", {"0badcafe": ENTRY}), ("null", {"0badcafe": None}),
    ("a variant that is no object", {"0badcafe": ["00000001"]}),
    ("an unknown field", {"0badcafe": [ENTRY | {"more": 1}]}),
    ("no weight", {"0badcafe": [{k: v for k, v in ENTRY.items() if k != "weight"}]}),
    ("a weight in words", {"0badcafe": [ENTRY | {"weight": "5"}]}),
    ("a weight that is true", {"0badcafe": [ENTRY | {"weight": True}]}),
    ("a weight below 0", {"0badcafe": [ENTRY | {"weight": -1}]}),
    ("a weight over 100", {"0badcafe": [ENTRY | {"weight": 101}]}),
    ("weights over 100", {"0badcafe": [variant("00000001", 60), variant("00000002", 60)]}),
    ("a revision that is none", {"0badcafe": [variant("0000000g")]}),
    ("a long revision", {"0badcafe": [variant("000000001")]}),
    ("the pods' own", {"0badcafe": [variant("0badcafe")]}),
    ("a revision twice", {"0badcafe": [variant("00000001"), variant("00000001")]}),
    ("sixteen variants", {"0badcafe": [variant(f"{at:08x}") for at in range(16)]}),
    ("an unknown option", {"0badcafe": [variant("00000001", temperature=1)]}),
    ("a missing option", {"0badcafe": [ENTRY | {"generation": {"numBeams": 1}}]}),
    ("an option out of range", {"0badcafe": [variant("00000001", numBeams=17)]}),
    ("an option in words", {"0badcafe": [ENTRY | {"generation": ENTRY["generation"] | {"numBeams": "1"}}]}),
    ("half a beam", {"0badcafe": [variant("00000001", numBeams=1.5)]}),
]  # fmt: skip


@pytest.mark.parametrize("value", [case[1] for case in MALFORMED], ids=[case[0] for case in MALFORMED])
def test_what_cannot_be_taken_as_it_is_is_not_taken_at_all(value: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read(value)


@given(st.text())
def test_no_header_is_anything_but_read_or_refused(header: str) -> None:
    with suppress(ValueError):
        read_variants(header, "0badcafe")
