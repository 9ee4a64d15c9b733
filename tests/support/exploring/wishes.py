"""What people may ask for: a spec as a handful of choices, so that it can be a part of a state."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.api.rollout import Action
from dialogue_operator.rollout.revision import revision_of, serving_spec
from support.objects import Json, manifest

TIMES = {"drain": "10s", "progressDeadline": "20s"}  # all in tens: due times of one thing are those of others
GATES = [{"name": "errors", "metric": "errorRate", "max": "1%", "minSamples": 1}]


def _steps(*weights: int, **more: Any) -> list[Json]:
    return [{"weight": weight, "hold": "10s", **more} for weight in weights]


STRATEGIES: dict[str, Json] = {
    "immediate": {},
    "canary": {"strategy": "Canary", "steps": _steps(10, 50), "gates": GATES},
    "other canary": {"strategy": "Canary", "steps": _steps(20), "gates": GATES},
    "half": {"strategy": "Canary", "steps": _steps(50), "gates": GATES},
    "ungated": {"strategy": "Canary", "steps": _steps(10, 50)},
    "partly gated": {"strategy": "Canary", "steps": [*_steps(10, gates=[]), *_steps(50)], "gates": GATES},
    "blue-green": {"strategy": "BlueGreen", "preview": "10s", "gates": GATES},
}
ARMS: dict[str, list[Json]] = {
    "": [],
    "variant": [{"name": "short", "weight": 10, "overrides": {"generation": {"numBeams": 1}}}],
    "model": [{"name": "other", "weight": 20, "overrides": {"model": {"uri": "builtin://other"}}}],
    "a/a": [{"name": "same", "weight": 10}],
    "two": [
        {"name": "short", "weight": 10, "overrides": {"generation": {"numBeams": 1}}},
        {"name": "other", "weight": 20, "overrides": {"model": {"uri": "builtin://other"}}},
    ],
}
SHADOW = {"percent": 5, "overrides": {"runtime": {"precision": "bf16"}}}


@dataclass(frozen=True)
class Wish:
    version: int = 1
    beams: int = 4
    strategy: str = "canary"
    replicas: int = 1
    arms: str = ""
    shadow: bool = False
    golden: bool = False
    on_abort: str = "Migrate"
    bake: str = "0s"
    request: tuple[str, Action, str | None] | None = None  # id, action, revision

    def but(self, **changes: Any) -> "Wish":
        return replace(self, **changes)


@cache
def model_of(wish: Wish) -> DialogueModel:
    """As the API server would give it back, without a status."""
    found = manifest()
    rollout = {**TIMES, "onAbort": wish.on_abort, "bake": wish.bake, **STRATEGIES[wish.strategy]}
    if wish.request:
        id_, action, revision = wish.request
        rollout["request"] = {"id": id_, "action": action} | ({"revision": revision} if revision else {})
    found["spec"] = {
        "model": {"uri": "builtin://default", "version": f"{wish.version}.0.0"},
        "generation": {"numBeams": wish.beams},
        "scaling": {"minReplicas": wish.replicas},
        "rollout": rollout,
        "experiment": {"arms": ARMS[wish.arms]},
        "shadow": SHADOW if wish.shadow else None,
        "preflight": {"configMapName": "golden"} if wish.golden else None,
    }
    found["metadata"] |= {"uid": "u", "generation": 1}
    return DialogueModel.parse(found)


@cache
def target_of(wish: Wish) -> str:
    return revision_of(serving_spec(model_of(wish).spec))
