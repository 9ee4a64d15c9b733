"""A spell of one fault in the middle of a story, on the real API server: the end is that of the story without.

`make chaos` throws dice for story, fault and moment.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dialogue_operator.cluster.credentials import configuration
from support.faults import FAULTS, meddle, storm
from support.inprocess import HASTY, Key, Workshop
from support.kube import proxy_to
from support.light import Light
from support.stories import STORIES, Teller, Told, claim, difference

pytestmark = pytest.mark.cluster

EDIT = next(story for story in STORIES if story.name == "edit in the middle")
BY_HAND = "people meddle by hand"
CLOCK = "the clock jumps"


async def test_after_every_fault_the_end_is_the_same(light: Light, namespace: str, tmp_path: Path) -> None:
    light.apply(claim(namespace))
    with ExitStack() as stack:
        told = await asyncio.gather(
            _tell(light, namespace, "calm", tmp_path, stack),
            *(_tell(light, namespace, fault, tmp_path, stack) for fault in (*FAULTS, BY_HAND, CLOCK)),
        )
    calm = told[0]
    found = dict(zip((*FAULTS, BY_HAND, CLOCK), told[1:], strict=True))
    assert {fault: difference(one.end, calm.end) for fault, one in found.items()} == {fault: [] for fault in found}


async def _tell(light: Light, namespace: str, fault: str, folder: Path, stack: ExitStack) -> Told:
    name = "fault-" + fault.lower().replace(",", "").replace(" ", "-")[:24].strip("-")
    direct, dice = await configuration(light.kubeconfig), random.Random(fault)
    own = folder / name
    own.mkdir()
    proxy = stack.enter_context(proxy_to(light.kubeconfig, own))
    workshop = Workshop(await configuration(proxy.kubeconfig(own)), HASTY, direct)
    weather: Callable[[Key], Coroutine[Any, Any, None]] | None = None
    if fault in FAULTS:

        async def weather(key: Key) -> None:
            await storm(proxy, fault, dice, after=1.0)

    elif fault == BY_HAND:

        async def weather(key: Key) -> None:
            await meddle(workshop, key, dice)

    elif fault == CLOCK:
        jump = timedelta(0)
        workshop.now = lambda: datetime.now(UTC) + jump

        async def weather(key: Key) -> None:
            nonlocal jump
            for seconds in (5, -5, 0):
                await asyncio.sleep(2.0)
                jump = timedelta(seconds=seconds)

    try:
        return await Teller(workshop, namespace).tell(EDIT, name, weather=weather)
    finally:
        await workshop.close()
