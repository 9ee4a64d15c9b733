"""`dialogue-operator plan`: what would happen, as the operator would decide it."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from dialogue_operator.cli import app
from dialogue_operator.cli.forecast import forecast
from support.objects import changed, manifest, model
from support.samples import SAMPLES, dialogue_models
from support.world import World, serving

CANARY = {
    "strategy": "Canary",
    "steps": [{"weight": 5, "hold": "10m"}, {"weight": 25, "hold": "20m"}, {"weight": 60, "hold": "90s"}],
    "bake": "15m",
    "drain": "1m",
}
GATES = [
    {"name": "errors", "metric": "errorRate", "margin": "0.5%", "minSamples": 200},
    {"name": "votes", "query": "up", "max": "1", "minSamples": 3},
]


def run(*words: str, stdin: str = "") -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ("plan", *words), input=stdin)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def compare(tmp_path: Path) -> Any:
    """The JSON of `plan` for a manifest and the one that is applied now."""

    def of(new: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
        path = tmp_path / "current.yaml"
        path.write_text(yaml.safe_dump(old))
        code, out, err = run("-", "--current", str(path), "-o", "json", stdin=yaml.safe_dump(new))
        assert (code, err) == (0, "")
        [found] = json.loads(out)
        return dict(found)

    return of


def test_a_canary_is_shown_step_by_step(compare: Any) -> None:
    old = manifest(spec__scaling__minReplicas=4)
    new = manifest(
        spec__model__version="2.0.0", spec__scaling__minReplicas=4, spec__rollout={**CANARY, "gates": GATES},
        spec__preflight={"configMapName": "golden"}, spec__runtime={"resources": {"cpu": "500m", "memory": "1Gi"}},
    )  # fmt: skip
    found = compare(new, old)
    table = [
        (s["name"], s["startsAfterSeconds"], s["holdSeconds"], s["weight"], s["gates"], s["pods"], s["cpu"])
        for s in found["stages"]
    ]
    gates = ["errors", "votes"]
    assert table == [
        ("coming up", None, 0, 0, ["golden dialogues"], {"stable": 4, "candidate": 1}, 4.5),
        ("step 1", 0, 600, 5, gates, {"stable": 4, "candidate": 1}, 4.5),
        ("step 2", 600, 1200, 25, gates, {"stable": 4, "candidate": 1}, 4.5),
        ("step 3", 1800, 90, 60, gates, {"stable": 4, "candidate": 3}, 5.5),
        ("all traffic", 1890, 0, 100, [], {"stable": 4, "candidate": 4}, 6),
        ("bake", 1890, 900, 100, [], {"stable": 4, "old": 4}, 6),
        ("drain", 2790, 60, 100, [], {"stable": 4, "old": 4}, 6),
        ("done", 2850, 0, 100, [], {"stable": 4}, 2),
    ]
    assert found["totalSeconds"] == 2850
    assert found["stages"][4]["memory"] == 12 * 2**30
    assert found["stages"][1]["minRequestsPerSecond"] == pytest.approx(200 / 1200 / 0.05)
    assert found["changed"] == ["model.version", "runtime.resources.cpu", "runtime.resources.memory"]
    assert found["changedWithoutNewRevision"] == ["preflight", "rollout"]


def test_the_table_says_the_same_in_words(tmp_path: Path) -> None:
    current = tmp_path / "current.yaml"
    current.write_text(yaml.safe_dump(manifest()))
    new = yaml.safe_dump(manifest(spec__model__version="2.0.0", spec__rollout=CANARY))
    code, out, _ = run("-", "--current", str(current), stdin=new)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("assistants/concierge: Canary from revision ")
    assert lines[0].endswith("(2.0.0)")
    assert "(1.0.0) to " in lines[0]
    assert lines[1] == "  changed: model.version"
    assert lines[6].split() == ["0s", "10m", "step", "1", "5", "%", "1", "stable", "+", "1", "candidate", "2", "4Gi"]
    assert "at least 47m30s from ready pods to the end" in out
    assert "warning: rollout.gates: a Canary without gates goes on by the clock" in out


@pytest.mark.parametrize(
    ("change", "aside"),
    [
        ({"spec.scaling.minReplicas": 7}, ["scaling"]),
        ({"spec.rollout.drain": "5m"}, ["rollout"]),
        ({"spec.experiment.arms": [{"name": "a", "weight": 5}], "spec.rollout.bake": "1h"}, ["experiment", "rollout"]),
        ({}, []),
    ],
)
def test_what_makes_no_new_revision_is_said_so(compare: Any, change: dict[str, Any], aside: list[str]) -> None:
    found = compare(changed(manifest(), change), manifest())
    assert not found["newRevision"]
    assert found["changedWithoutNewRevision"] == aside
    assert [stage["name"] for stage in found["stages"]] == ["as before"]


def test_decoding_alone_needs_no_new_pods(compare: Any) -> None:
    new = manifest(spec__generation__lengthPenalty=0.5, spec__rollout=CANARY)
    found = compare(new, manifest())
    assert found["sharesPods"]
    assert {stage["pods"].get("candidate", 0) + stage["pods"].get("old", 0) for stage in found["stages"]} == {0}


def test_what_is_recorded_counts_more_than_what_was_asked_for(compare: Any) -> None:
    """A first revision that serves, a second one that was given up, and a third one that is asked for now."""
    world = serving(spec__rollout__progressDeadline="1m")
    first = world.status.stable_revision
    world.edit(spec__model__version="2.0.0").step()
    world.fail(world.target)
    world.wait(61)
    world.step()
    applied = {**manifest(**world.spec), "status": world.status.to_json()}
    assert compare(manifest(spec__model__version="3.0.0"), applied)["stableRevision"] == first
    again = compare(manifest(spec__model__version="2.0.0"), applied)
    assert "until a request with action Retry" in again["note"]


def test_a_revision_that_served_before_comes_back_without_steps(compare: Any) -> None:
    world = serving(spec__rollout={**CANARY, "steps": [{"weight": 50, "hold": "1s"}]})
    world.edit(spec__model__version="2.0.0")
    for _ in range(12):
        world.come_up()
        world.accept()
        world.step()
        world.wait(2)
    assert world.status.stable_revision == world.target
    applied = {**manifest(**world.spec), "status": world.status.to_json()}
    found = compare(manifest(spec__rollout=CANARY), applied)
    assert "served before" in found["note"]
    assert [stage["name"] for stage in found["stages"]] == ["coming up", "all traffic", "bake", "drain", "done"]


def test_a_model_that_is_not_applied_yet_has_all_traffic_at_once(compare: Any) -> None:
    found = compare(manifest("other", spec__rollout=CANARY), manifest())
    assert [stage["name"] for stage in found["stages"]] == ["coming up", "all traffic"]


def test_a_list_as_kubectl_prints_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": [manifest(), manifest("other")]}))
    code, out, _ = run(str(path), "--current", str(path), "-o", "json")
    assert code == 0
    assert [one["newRevision"] for one in json.loads(out)] == [False, False]


CAVEATS: dict[str, dict[str, Any]] = {
    "rollout.strategy: Immediate": {},
    "rollout.gates: nothing asks them": {"spec__rollout": {"gates": GATES}},
    "rollout.preview: strategy Immediate has no preview": {"spec__rollout": {"preview": "5m"}},
    "rollout.preview: BlueGreen without gates": {"spec__rollout": {"strategy": "BlueGreen"}},
    "rollout.gates: a Canary without gates": {"spec__rollout": CANARY},
    "rollout.steps[0].gates: step 1 asks no gate": {
        "spec__rollout": {"strategy": "Canary", "gates": GATES, "steps": [{"weight": 5, "gates": []}]}
    },
    "rollout.gates[1].query: gate votes needs Prometheus": {"spec__rollout": {**CANARY, "gates": GATES}},
    "rollout.gates[0].max: a share is never above 100%": {
        "spec__rollout": {**CANARY, "gates": [{"name": "e", "metric": "errorRate", "max": "100%", "minSamples": 1}]}
    },
    "rollout.gates[0].minSamples: gate thumbs counts users' votes": {
        "spec__rollout": {"gates": [{"name": "thumbs", "metric": "negativeFeedback", "max": "5%", "minSamples": 1}]}
    },
    "scaling.minReplicas: 0 needs KEDA": {"spec__scaling__minReplicas": 0},
    "scaling.minReplicas: one pod is no reserve": {"spec__scaling__minReplicas": 1},
    "scaling.metric: pendingTokens needs KEDA": {"spec__scaling": {"maxReplicas": 4, "metric": "pendingTokens"}},
    "rollout.bake: 0s": {},
    "rollout.onAbort: Finish needs a drain": {"spec__rollout": {"onAbort": "Finish", "drain": "0s"}},
    "rollout.stickiness: None lets": {"spec__rollout": {"stickiness": "None"}},
    "rollout.request: Promote is obeyed where id 7 is new": {
        "spec__rollout": {"request": {"id": "7", "action": "Promote"}}
    },
}


@pytest.mark.parametrize("expected", CAVEATS)
def test_what_may_surprise_is_said_before(expected: str) -> None:
    _, out, _ = run("-", stdin=yaml.safe_dump(manifest(**CAVEATS[expected])))
    assert f"warning: {expected}" in out


def test_a_careful_canary_gives_no_warning() -> None:
    _, out, _ = run(str(SAMPLES / "canary.yaml"))
    assert "warning" not in out


@pytest.mark.parametrize("path", dialogue_models(), ids=lambda path: path.stem)
def test_every_sample_has_a_plan(path: Path) -> None:
    for other in dialogue_models():
        code, out, err = run(str(path), "--current", str(other))
        assert (code, err) == (0, "")
        assert "STAGE" in out


@pytest.mark.parametrize(
    ("words", "stdin", "expected"),
    [
        (("none.yaml",), "", "none.yaml: No such file"),
        (("-",), "kind: Pod", "no DialogueModel in it"),
        (("-", "--current", "none.yaml"), yaml.safe_dump(manifest()), "none.yaml: No such file"),
        (
            ("-",),
            yaml.safe_dump(manifest(spec__rollout__strategy="Canary")),
            "spec.rollout.steps: strategy Canary needs",
        ),
    ],
)
def test_what_cannot_be_read_is_one_line(words: tuple[str, ...], stdin: str, expected: str) -> None:
    code, out, err = run(*words, stdin=stdin)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert expected in err


def test_a_status_of_another_release_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "current.yaml"
    path.write_text(yaml.safe_dump({**manifest(), "status": {"phase": "Dreaming"}}))
    code, _, err = run("-", "--current", str(path), stdin=yaml.safe_dump(manifest()))
    assert (code, err) == (2, f"error: {path}: status: written by another release of the operator\n")


# the operator does what was forecast

ROLLOUTS: dict[str, dict[str, Any]] = {
    "canary": {"spec__rollout": CANARY, "spec__scaling__minReplicas": 5},
    "blue and green": {"spec__rollout": {"strategy": "BlueGreen", "preview": "5m", "bake": "1m"}, "spec__scaling__minReplicas": 3},
    "immediate": {"spec__scaling__minReplicas": 2},
    "with arms and a shadow": {
        "spec__rollout": CANARY,
        "spec__scaling__minReplicas": 10,
        "spec__experiment": {
            "arms": [
                {"name": "near", "weight": 10, "overrides": {"generation": {"numBeams": 1}}},
                {"name": "far", "weight": 21, "overrides": {"model": {"uri": "builtin://other"}}},
            ]
        },
        "spec__shadow": {"percent": 35, "overrides": {"runtime": {"precision": "bf16"}}},
    },
}  # fmt: skip


def _stages(world: World) -> Iterator[tuple[str, int, timedelta]]:
    """(stage, pods in all, since when) as the operator goes through them, pods ready and weights taken at once."""
    begin = None
    while True:
        world.come_up()
        world.accept()
        decision = world.step()
        rollout, phase = world.status.rollout, world.status.phase
        begin = begin or (world.now if rollout.step else None)
        pods = sum(revision.replicas for revision in decision.plan.revisions)
        name = {"Preparing": "coming up", "Switching": "all traffic", "Baking": "bake", "Draining": "drain"}.get(
            phase, f"step {rollout.step}"
        )
        if phase == "Stable":
            return
        yield name, pods, world.now - (begin or world.now)
        if decision.wake_after and (rollout.step_started_at or phase in {"Baking", "Draining"}):
            world.wait(decision.wake_after)


@pytest.mark.parametrize("name", ROLLOUTS)
def test_the_operator_goes_through_the_stages_that_were_forecast(name: str) -> None:
    before = ROLLOUTS[name]
    world = serving(**before)
    found = forecast(model(**before, spec__model__uri="builtin://next"), model(**before))
    world.edit(spec__model__uri="builtin://next")
    seen: dict[str, tuple[int, timedelta]] = {}
    for stage, pods, since in _stages(world):
        stage = "preview" if stage == "step 1" and name == "blue and green" else stage
        seen.setdefault(stage, (pods, since))
    expected = {
        moment.name: (sum(one.count for one in moment.pods), moment.starts or timedelta())
        for moment in found.moments
        if moment.name != "done"
    }
    assert list(seen) == list(expected)
    for stage, (pods, starts) in expected.items():
        assert seen[stage][0] == pods, stage
        assert abs(seen[stage][1] - starts) < timedelta(seconds=10), stage
