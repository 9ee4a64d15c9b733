"""Specs of every kind: those of the golden file, and as many more as wanted, right and wrong, from a seed."""

import copy
from collections.abc import Iterator
from random import Random
from typing import Any

import yaml

from dialogue_operator.api.schema import structural_schema
from dialogue_operator.api.spec import DialogueModelSpec
from support.objects import manifest
from support.samples import ROOT

Json = dict[str, Any]
GOLDEN = ROOT / "tests/dialogue_operator/api/golden/specs.yaml"
SMALLEST: Json = {"model": {"uri": "builtin://default"}}
SCHEMA = structural_schema(DialogueModelSpec)
URIS = ["builtin://default", "pvc://models/concierge/2.0.0", "pvc://m.x/a_b"]
DURATIONS = ["1s", "10s", "1m30s", "5m", "1h", "24h"]
ODD_STRINGS = [
    "", " ", "5m\n", " 5m", "-1s", "0s", "1ms", "999ms", "1s", "4s", "10", "1d", "1.5h", "24h1ms", "168h", "168h1ms", "999999h",
    "999999h999999h999999h", "0", "0%", "1e3", "+1", ".5", "5.", "100%", "0.0000001", "1234567890", "9m", "255Mi", "1Ki", "1.5Gi",
    "99999999999999999999999999999999", "0.001m", "Canary", "canary", "None", "null", "true", "errors", "Errors", "a" * 32,
    "a" * 33, "a-", "-a", "é", "٣m", "日本", "s3://a/b", "pvc://a", "pvc://a/..", "builtin://", "sha256:" + "0" * 64, "5c0e77aa",
    "\t",
]  # fmt: skip
ODD_VALUES: list[Any] = [
    None,
    True,
    0,
    1,
    -1,
    4.0,
    1.5,
    0.1,
    99,
    100,
    101,
    10**6,
    10**6 + 1,
    2**63,
    1e300,
    [],
    [None],
    {},
    {"a": 1},
    "7",
]


def golden() -> list[Json]:
    """`name`, `spec` (whole), and for those that are to be refused `refused`."""
    found: list[Json] = yaml.safe_load(GOLDEN.read_text(encoding="utf-8"))
    return [{**one, "spec": {**SMALLEST, **one["spec"]}} for one in found]


def generated(count: int, seed: int) -> Iterator[Json]:
    """Manifests: some as they should be, some that strain one rule, some changed in one to three places, for the worse or not."""
    random = Random(seed)
    for _ in range(count):
        spec = valid_spec(random)
        kind = random.random()
        if kind < 0.2:
            _strain_a_rule(random, spec)
        elif kind < 0.65:
            for _ in range(random.choice([1, 1, 1, 2, 3])):
                _change(random, spec)
        yield {**manifest(), "spec": spec}


def valid_spec(random: Random) -> Json:
    def maybe(value: Any, likely: float = 0.5) -> Any:
        return value if random.random() < likely else None

    arms, gates = _arms(random), _gates(random)
    strategy = random.choice(["Canary", "BlueGreen", "Immediate", None])
    room = 99 - sum(arm["weight"] for arm in arms)
    least = random.randint(1, 5)
    rollout = {
        "strategy": strategy,
        "steps": _steps(random, room, [gate["name"] for gate in gates]) if strategy == "Canary" and room else None,
        "gates": maybe(gates, 0.9),
        "preview": maybe(random.choice(DURATIONS)),
        "stickiness": maybe(random.choice(["Conversation", "None"])),
        "onAbort": maybe(random.choice(["Migrate", "Finish"])),
        "bake": maybe(random.choice(DURATIONS)),
        "drain": maybe(random.choice(DURATIONS)),
        "progressDeadline": maybe(random.choice(DURATIONS[1:])),
        "request": maybe({"id": str(random.randint(1, 9)), "action": random.choice(["Promote", "Pause", "Abort"])}),
    }
    if rollout["steps"] and rollout["gates"] is None:
        rollout["steps"] = [{**step, "gates": []} for step in rollout["steps"]]
    if strategy == "Canary" and not rollout["steps"]:
        rollout["strategy"] = None
    spec = {
        "model": {"uri": random.choice(URIS), "version": maybe(random.choice(["1.0.0", "2"]))},
        "runtime": maybe(
            {"precision": random.choice(["bf16", "int8"]), "resources": {"cpu": random.choice(["100m", "4", "1.5"])}}
        ),
        "generation": maybe({"numBeams": random.randint(1, 16), "lengthPenalty": random.choice([0, 1, 0.6, 2.0])}),
        "dialogue": maybe({"maxTurns": random.randint(1, 64)}),
        "scaling": {"minReplicas": least, "maxReplicas": maybe(least + random.randint(0, 9)), "metric": maybe("cpu")},
        "rollout": rollout,
        "experiment": maybe({"arms": arms}, 0.9) if arms else None,
        "shadow": maybe({"percent": random.randint(1, 100), "overrides": _overrides(random)}, 0.3),
        "preflight": maybe({"configMapName": "golden"}, 0.3),
    }
    whole: Json = _without_none(spec)
    return whole


def _arms(random: Random) -> list[Json]:
    count = random.choice([0, 0, 0, 1, 2, 8])
    return [
        {"name": f"arm-{n}", "weight": random.randint(1, 99 // count), "overrides": _overrides(random)}
        for n in range(count)
    ]


def _overrides(random: Random) -> Json:
    one: list[Json] = [
        {},
        {"generation": {"lengthPenalty": 0.6}},
        {"generation": {"numBeams": 1}},
        {"model": {"uri": "pvc://models/other/1"}},
        {"runtime": {"resources": {"memory": "1Gi"}}},
    ]
    return random.choice(one)


def _gates(random: Random) -> list[Json]:
    kinds: list[Json] = [
        {"metric": "errorRate", "margin": "0.5%"},
        {"metric": "latencyP95", "margin": "15%"},
        {"metric": "degenerateRate", "max": "2%"},
        {"metric": "beamMargin", "min": "0.05"},
        {"query": 'up{revision="$revision"}', "min": "1"},
    ]
    chosen = random.sample(kinds, random.randint(0, len(kinds)))
    return [{"name": f"gate-{n}", "minSamples": random.choice([1, 200])} | kind for n, kind in enumerate(chosen)]


def _steps(random: Random, room: int, gates: list[str]) -> list[Json]:
    weights = sorted(random.sample(range(1, room + 1), min(room, random.choice([1, 3, 16]))))
    chosen = [None, [], random.sample(gates, random.randint(0, len(gates)))]
    return [
        {"weight": weight, "hold": random.choice([None, *DURATIONS]), "gates": random.choice(chosen)}
        for weight in weights
    ]


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    return [_without_none(one) for one in value] if isinstance(value, list) else value


def _change(random: Random, spec: Json) -> None:
    """One field of the schema, there or not, becomes something else."""
    holder, key, schema = random.choice(list(_places(spec, SCHEMA)))
    value = holder[key] if isinstance(holder, list) else holder.get(key)
    kind = random.randrange(6)
    if kind == 0 and isinstance(holder, dict):
        holder.pop(key, None)
    elif kind == 1 and isinstance(value, dict):
        value[random.choice(["unknown", "Weight", "min_samples", "numbeams"])] = 1
    elif kind == 2 and isinstance(value, list) and value:
        value[:] = random.choice([value[::-1], value + copy.deepcopy(value), value * 9, value[:1]])
    elif kind in {3, 4}:
        holder[key] = random.choice(_near(schema))
    else:
        holder[key] = random.choice(ODD_VALUES)


def _strain_a_rule(random: Random, spec: Json) -> None:
    """A spec that was as it should be meets, or breaks, what must hold between fields."""
    rollout, scaling = spec.setdefault("rollout", {}), spec.setdefault("scaling", {})
    steps, gates, arms = rollout.get("steps"), rollout.get("gates"), spec.get("experiment", {}).get("arms")
    choices: list[tuple[Any, str, Any]] = [
        (rollout, "strategy", random.choice(["Canary", "BlueGreen", "Immediate"])),
        (rollout, "steps", random.choice([[], [{"weight": 50}, {"weight": 5}], [{"weight": 5}, {"weight": 5}]])),
        (rollout, "request", {"id": "1", "action": random.choice(["Rollback", "Retry"]), "revision": "5c0e77aa"}),
        (scaling, "minReplicas", random.choice([0, 1, 100])),
        (scaling, "maxReplicas", random.choice([1, 3, 100])),
    ]
    if steps:
        choices += [(rollout, "steps", steps[::-1]), (rollout, "steps", [*steps, {"weight": 99}])]
        choices.append((rollout, "steps", [{**steps[0], "gates": ["gate-4"]}, *steps[1:]]))
    if gates:
        gate = random.choice(gates)
        bounds = [{"max": "1"}, {"min": "1"}, {"margin": "1"}, {"query": "up"}, {"metric": "errorRate"}]
        choices.append((rollout, "gates", [*gates, {**gate, "name": random.choice(["more", gate["name"]])}]))
        choices.append((rollout, "gates", [{**gate, **random.choice(bounds)}]))
        choices.append((rollout, "gates", [{"name": gate["name"], "minSamples": 1, **random.choice(bounds)}]))
    if arms:
        name = random.choice(["stable", "shadow", arms[0]["name"]])
        choices.append((spec["experiment"], "arms", [*arms, {"name": name, "weight": random.choice([1, 50, 99])}]))
    holder, key, value = random.choice(choices)
    holder[key] = copy.deepcopy(value)


def _near(schema: Json) -> list[Any]:
    """Values at and beyond the bounds."""
    if schema["type"] in {"integer", "number"}:
        low, high = schema["minimum"], schema["maximum"]
        return [low, high, low - 1, high + 1, float(low), str(low), -low]
    if schema["type"] == "string":
        longest = schema.get("maxLength", 8)
        return [*ODD_STRINGS, *schema.get("enum", []), "a" * longest, "a" * (longest + 1), "1" * longest]
    return [{}, [], None, "x", [{}], [[]], ["x"]]


def _places(value: Any, schema: Json) -> Iterator[tuple[Any, Any, Json]]:
    """Every (object or list, key, schema) below a value; absent keys, too."""
    if isinstance(value, dict) and schema["type"] == "object":
        for key, inner in schema["properties"].items():
            yield value, key, inner
            if key in value:
                yield from _places(value[key], inner)
    if isinstance(value, list) and schema["type"] == "array":
        for index, one in enumerate(value):
            yield value, index, schema["items"]
            yield from _places(one, schema["items"])
