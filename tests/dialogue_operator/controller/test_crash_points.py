"""A crash or a lost answer at writes of every story, on the real API server: the end is that of the run without.

A sample of the points; `make crash-points` has them all.
"""

import pytest

from dialogue_operator.cluster.credentials import configuration
from support.inprocess import Workshop
from support.light import Light
from support.stories import STORIES, Teller, claim, tell_all

pytestmark = pytest.mark.cluster

EVERY = 16  # of the points


async def test_wherever_a_story_is_interrupted_its_end_is_the_same(light: Light, namespace: str) -> None:
    light.apply(claim(namespace))
    workshop = Workshop(await configuration(light.kubeconfig))
    try:
        told = await tell_all(Teller(workshop, namespace), STORIES, EVERY)
    finally:
        await workshop.close()
    assert {one.story for one in told} == {story.name for story in STORIES}
    assert len(told) >= 20
    assert sum(one.reached for one in told) >= 0.8 * len(told)
    assert [str(one) for one in told if one.problems] == []
