"""The phases that people see and what leads from one to the next, found by trying everything on small worlds."""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from dialogue_operator.rollout.evidence import Answer
from support.world import World, serving

GATE = {"name": "mine", "query": "up", "max": "1", "minSamples": 1}
CANARY = {
    "strategy": "Canary",
    "steps": [{"weight": 10, "hold": "1m"}, {"weight": 50, "hold": "1m"}],
    "gates": [GATE],
    "progressDeadline": "1h",
    "bake": "3h",
    "drain": "3h",
}
WORLDS = 400  # more than there are: the search ends by itself, which a test sees
MANY = 4  # what leads from so many phases to one is said in words, not drawn


@dataclass(frozen=True, order=True)
class Transition:
    before: str
    after: str
    trigger: str


Trigger = Callable[[World], bool]  # False: it makes no sense in this world


def _ask(action: str) -> Trigger:
    def ask(world: World) -> bool:
        world.edit(spec__rollout__request={"id": str(world.generation), "action": action})
        return True

    return ask


def _new_revision(world: World) -> bool:
    world.edit(spec__model__version=f"{1 + world.generation}.0.0")
    return True


def _stable_again(world: World) -> bool:
    if world.status.stable_version is None or world.target == world.status.stable_revision:
        return False
    world.edit(spec__model__version=world.status.stable_version)
    return True


def _pods_ready(world: World) -> bool:
    world.come_up()
    return True


def _pods_lost(world: World) -> bool:
    candidate = world.status.candidate_revision or ""
    if candidate in world.pods:
        world.pods[candidate].ready = 0
    return candidate in world.pods


def _weights_taken(world: World) -> bool:
    world.accept()
    return True


def _answers(value: float) -> Trigger:
    def answer(world: World) -> bool:
        rollout = world.status.rollout
        world.answers = {("mine", rollout.revision): Answer(value, 3)}
        return bool(rollout.step_started_at)

    return answer


def _hold_is_over(world: World) -> bool:
    world.wait(61)
    return bool(world.status.rollout.step_started_at)


def _too_late(world: World) -> bool:
    world.wait(3700)
    return bool(world.status.candidate_revision)


def _over(phase: str) -> Trigger:
    def wait(world: World) -> bool:
        world.wait(3 * 3600 + 1)
        return world.status.phase == phase

    return wait


TRIGGERS: Mapping[str, Trigger] = {
    "a new revision is asked for": _new_revision,
    "the stable revision is asked for again": _stable_again,
    "pods are ready": _pods_ready,
    "pods are lost": _pods_lost,
    "the gateway has taken the weights": _weights_taken,
    "gates pass": _answers(0.5),
    "a gate fails": _answers(2.0),
    "hold is over": _hold_is_over,
    "progressDeadline is over": _too_late,
    "bake is over": _over("Baking"),
    "drain is over": _over("Draining"),
    **{action: _ask(action) for action in ("Promote", "Pause", "Resume", "Abort", "Retry", "Rollback")},
}


def transitions(worlds: int = WORLDS) -> list[Transition]:
    """Breadth first from a model that is not there yet, and from one that serves."""
    found: set[Transition] = set()
    start = World(spec={"spec__rollout": CANARY})
    start.step()
    found.add(Transition("Pending", start.status.phase, "a model is created"))
    queue, seen = [start, serving(spec__rollout=CANARY)], set[object]()
    for world in queue:
        for trigger, pull in TRIGGERS.items():
            following = copy.deepcopy(world)
            if not pull(following):
                continue
            for before, after in _settle(following):
                found.add(Transition(before, after, trigger))
            if (key := _key(following)) not in seen and len(queue) < worlds:
                seen.add(key)
                queue.append(following)
    return sorted(found)


def _settle(world: World) -> Iterator[tuple[str, str]]:
    """Decide until nothing changes; the phases that were passed."""
    for _ in range(6):
        before = world.status
        world.step()
        if world.status == before:
            return
        if world.status.phase != before.phase:
            yield before.phase, world.status.phase


def _key(world: World) -> object:
    """Worlds that are alike to a person: times are left out."""
    status, rollout = world.status, world.status.rollout
    return (
        status.phase,
        rollout.step,
        rollout.weight,
        rollout.paused,
        rollout.outcome,
        bool(rollout.step_started_at),
        bool(status.rejected_revision),
        bool(status.stable_revision),
        bool(status.candidate_revision),
        any(record.retire_at for record in status.revisions),
        all(route.accepted for route in world.routes),
        all(pods.ready >= pods.replicas for pods in world.pods.values()),
    )


def diagram(found: list[Transition]) -> str:
    """Mermaid: one arrow for each pair of phases, with all that leads along it; below it, what holds almost everywhere."""
    sources: dict[tuple[str, str], list[str]] = {}
    for one in found:
        sources.setdefault((one.after, one.trigger), []).append(one.before)
    common = {key for key, phases in sources.items() if len(phases) >= MANY}
    arrows: dict[tuple[str, str], list[str]] = {}
    for one in found:
        if (one.after, one.trigger) not in common:
            arrows.setdefault((one.before, one.after), []).append(one.trigger)
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> Pending"]
    for (before, after), triggers in sorted(arrows.items()):
        lines.append(f"    {before} --> {after}: {'<br/>'.join(triggers)}")
    lines += ["```", "", "Not drawn, because it leads there from many phases:", ""]
    for after, trigger in sorted(common):
        lines.append(f"- {trigger}: from {', '.join(sources[after, trigger])} to **{after}**")
    return "\n".join(lines) + "\n"
