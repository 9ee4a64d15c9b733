"""A revision's name must never change for the same spec: pods of all users depend on it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue_operator.rollout.revision import revision_of, serving_spec
from support.objects import model

GOLDEN: dict[str, tuple[dict[str, Any], str]] = {
    "smallest": ({"spec__model__version": ""}, "338c01ff"),
    "quickstart": ({"spec__runtime__resources": {"cpu": "100m", "memory": "1Gi"}}, "abe2266f"),
    "with an image": ({"spec__runtime__image": "example.com/predictor:2"}, "f8e6cc15"),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_hash_of_a_spec_is_the_same_in_every_release(name: str) -> None:
    changes, expected = GOLDEN[name]
    assert revision_of(serving_spec(model(**changes).spec)) == expected


@given(st.integers(1, 16), st.sampled_from([1, 1.0]))
def test_how_a_number_is_written_does_not_matter(beams: int, penalty: float) -> None:
    one = model(spec__generation__numBeams=beams, spec__generation__lengthPenalty=penalty)
    other = model(spec__generation__lengthPenalty=1.0, spec__generation__numBeams=beams)
    assert revision_of(serving_spec(one.spec)) == revision_of(serving_spec(other.spec))
