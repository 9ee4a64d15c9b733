"""A good version goes 5, 25, 50, 100 %; slow, erroring and senseless ones are thrown out by their gates; one that does
not start never gets a user. Each figure is printed, and a broken promise ends with an error."""

import asyncio
import time
from collections.abc import Callable, Collection
from functools import partial

from demo import place as places
from demo.shell import DemoError, say
from demo.talk import Place
from rollouts.model import Json, apply, place_on, prepare, status, volume
from rollouts.traffic import Users, split

STEPS = (5, 25, 50)
REQUESTS = 40_000
CONVERSATIONS = 1_000
FIXED_STEP_SECONDS = 300
GATES = [
    {"name": "errors", "metric": "errorRate", "margin": "5%", "minSamples": 20},
    {"name": "latency", "metric": "latencyP95", "margin": "100%", "minSamples": 20},
    {"name": "quality", "metric": "degenerateRate", "margin": "20%", "minSamples": 20},
]
BAD = {"slow": "latency", "erroring": "errors", "garbage": "quality"}
PARTS = (*BAD, "crash-looping", "good")
FIRST = {"uri": "builtin://default", "version": "1.0.0"}


async def tell(parts: Collection[str]) -> None:
    """Those of PARTS that are named, in their order."""
    cluster = places.local()
    places.install(cluster)
    place = place_on(cluster)
    prepare(cluster)
    apply(FIRST, {})
    await seen("the first version", lambda state: state.get("phase") == "Stable", 120)
    for part in PARTS:
        if part in parts:
            await (bad(place, part) if part in BAD else {"crash-looping": crash_looping, "good": good}[part](place))


async def good(place: Place) -> None:
    steps = [{"weight": weight, "hold": "150s", "gates": ["errors"]} for weight in STEPS]
    gates = [{"name": "errors", "metric": "errorRate", "max": "10%", "minSamples": 20}]
    say(f"good: {', '.join(map(str, STEPS))} and 100 %, {REQUESTS} requests without a revision in each step")
    async with Users(place, 4) as users:
        apply(volume("1.1.0"), {"strategy": "Canary", "steps": steps, "gates": gates, "progressDeadline": "30m"})
        for step, weight in enumerate(STEPS, 1):
            await seen(f"step {step}", partial(in_step, step), 400)
            candidate = status()["candidateRevision"]
            answers = await split(place, REQUESTS)
            if not in_step(step, status()):
                raise DemoError(f"the requests took longer than step {step}: fewer of them, or a longer hold")
            share = 100 * answers[candidate] / answers.total()
            bad_ones = {word: count for word, count in answers.items() if len(word) != 8}
            say(f"  step {step}: asked for {weight} %, got {share:.2f} % of {answers.total()}; failed: {bad_ones or 0}")
            require(abs(share - weight) <= 1 and not bad_ones, f"step {step} did not split as asked")
        await seen("the promotion", lambda state: state.get("phase") == "Stable", 400)
        await until(f"{CONVERSATIONS} conversations", lambda: users.conversations >= CONVERSATIONS, 900)
    failed = users.failures()
    say(
        f"  promoted; {len(users.answers)} chat requests, failed: {dict(failed) or 0}; "
        f"{users.conversations} conversations of 3 turns, {users.switched} changed revision in the middle"
    )
    require(not failed and not users.switched, "requests failed, or conversations changed model in the middle")


async def bad(place: Place, how: str) -> None:
    weight = 20
    rollout = {
        "strategy": "Canary", "steps": [{"weight": weight, "hold": "10m"}], "gates": GATES, "progressDeadline": "30m",
    }  # fmt: skip
    say(f"{how}: {weight} % until its gate says no")
    async with Users(place, 4) as users:
        apply(volume(how), rollout)
        await seen("the step", partial(in_step, 1), 300)
        began, revision = time.monotonic(), status()["candidateRevision"]
        await seen("the verdict", lambda state: state.get("rollout", {}).get("outcome") == "Rejected", 500)
        verdict = time.monotonic()
        await seen("stable to have all the traffic", lambda state: state.get("phase") == "Degraded", 20)
        back = time.monotonic()
        enough = len(users.answers) + 20  # is anybody still answered by it?
        await until("more answers", lambda: len(users.answers) >= enough and time.monotonic() > back + 2, 120)
    state = status()
    gate = next(g for g in state["gates"] if g["verdict"] == "Fail")
    hit = [answer for answer in users.answers if answer.revision == revision]
    late = [answer for answer in hit if answer.at > back + 1]
    span = verdict - began
    rate = sum(began <= answer.at <= verdict for answer in users.answers) / span
    failed = sum(bool(answer.failure) for answer in hit)
    fixed = rate * weight / 100 * FIXED_STEP_SECONDS * (failed / max(1, len(hit)) if how == "erroring" else 1)
    say(f"  gate {gate['name']} after {span:.1f} s: {gate['evidence']}")
    say(
        f"  all traffic back {back - verdict:.1f} s after the verdict; it answered {len(hit)} requests, {failed} failed"
    )
    say(f"  a fixed step of five minutes at this rate: about {fixed:.0f} bad answers")
    require(gate["name"] == BAD[how], f"{gate['name']} threw it out, not {BAD[how]}")
    require(back - verdict <= 10 and not late, "traffic was not back within 10 s of the verdict")
    others = {a.failure for a in users.answers if a.failure and a.revision != revision}
    require(not others, f"requests of the stable revision failed: {others}")


async def crash_looping(place: Place) -> None:
    say("crash-looping: a bundle that does not match its digest")
    async with Users(place, 2) as users:
        apply(
            {**volume("1.1.0"), "digest": "sha256:" + "0" * 64},
            {"strategy": "Canary", "steps": [{"weight": 10}], "progressDeadline": "15s"},
        )
        await seen("the rejection", lambda state: state.get("rollout", {}).get("outcome") == "Rejected", 90)
    rollout = status()["rollout"]
    hit = users.by_revision()[rollout["revision"]]
    say(f"  rejected: {rollout['reason']}; it answered {hit} of {len(users.answers)} requests")
    require(not hit and not users.failures(), "it cost somebody something")


def in_step(step: int, state: Json) -> bool:
    rollout = state.get("rollout", {})
    return bool(rollout.get("step") == rollout.get("nextStep") == step and rollout.get("stepStartedAt"))


async def seen(what: str, holds: Callable[[Json], bool], seconds: float) -> None:
    """Wait for a status while users go on."""
    last = time.monotonic() + seconds
    while not holds(await asyncio.to_thread(status)):
        if time.monotonic() > last:
            raise DemoError(f"waited {seconds:.0f} s for {what}: {status().get('conditions')}")
        await asyncio.sleep(0.2)


async def until(what: str, holds: Callable[[], bool], seconds: float) -> None:
    last = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > last:
            raise DemoError(f"waited {seconds:.0f} s for {what}")
        await asyncio.sleep(0.2)


def require(promise: bool, broken: str) -> None:
    if not promise:
        raise DemoError(broken)
