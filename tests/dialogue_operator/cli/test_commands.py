"""`dialogue-operator` as people type it."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import dialogue_operator
from dialogue_operator.api.crd import crd
from dialogue_operator.cli import app
from support.objects import ABSENT, manifest
from support.samples import dialogue_models

PACKAGES = str(Path(dialogue_operator.__file__).parents[1])
GOOD = yaml.safe_dump(manifest())


def run(*words: str, stdin: str | bytes | None = None) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, words, input=stdin)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def test_crd_prints_what_the_api_server_takes() -> None:
    code, out, _ = run("crd")
    assert code == 0
    assert yaml.safe_load(out) == crd()


def test_crd_prints_a_reference_for_people() -> None:
    code, out, _ = run("crd", "-o", "markdown")
    assert code == 0
    assert "| `numBeams` | integer; 1 to 16 | `4` |" in out


@pytest.mark.parametrize("path", dialogue_models(), ids=lambda path: path.stem)
def test_render_prints_every_sample_as_it_would_be_applied(path: Path) -> None:
    code, out, err = run("render", str(path))
    assert (code, err) == (0, "")
    assert "&id" not in out
    kinds = [one["kind"] for one in yaml.safe_load_all(out)]
    assert kinds[-2:] == ["HTTPRoute", "GRPCRoute"]


def test_render_reads_several_documents_from_standard_input_and_passes_over_other_kinds() -> None:
    other = yaml.safe_dump(manifest("helper", "support", spec__model__uri="pvc://models/helper"))
    text = "---\n".join([GOOD, "kind: ConfigMap\napiVersion: v1\n", other])
    code, out, _ = run("render", "-", "--gateway", "infra/edge", "--domain", "d.io", "--image", "r/p:9", stdin=text)
    assert code == 0
    found = list(yaml.safe_load_all(out))
    assert [one["kind"] for one in found] == [
        "InferenceService", "HTTPRoute", "GRPCRoute", "ServingRuntime", "InferenceService", "HTTPRoute", "GRPCRoute",
    ]  # fmt: skip
    assert found[1]["spec"]["hostnames"] == ["concierge.assistants.d.io"]
    assert found[1]["spec"]["parentRefs"] == [{"name": "edge", "namespace": "infra"}]
    assert found[3]["spec"]["containers"][0]["image"] == "r/p:9"


def test_render_prints_arms_autoscalers_and_disruption_budgets() -> None:
    arms = [
        {"name": "near", "weight": 10, "overrides": {"generation": {"numBeams": 1}}},
        {"name": "far", "weight": 10, "overrides": {"model": {"uri": "builtin://other"}}},
    ]
    scaling = {"minReplicas": 2, "maxReplicas": 9}
    code, out, _ = run(
        "render", "-", stdin=yaml.safe_dump(manifest(spec__experiment={"arms": arms}, spec__scaling=scaling))
    )
    assert code == 0
    kinds = Counter(one["kind"] for one in yaml.safe_load_all(out))
    assert kinds == {
        "InferenceService": 2, "HorizontalPodAutoscaler": 2, "PodDisruptionBudget": 2, "HTTPRoute": 1, "GRPCRoute": 1,
    }  # fmt: skip


def test_render_takes_the_namespace_from_the_command_where_the_manifest_has_none() -> None:
    text = yaml.safe_dump(manifest(metadata__namespace=ABSENT))
    assert "namespace: default" in run("render", "-", stdin=text)[1]
    assert "namespace: team-a" in run("render", "-", "-n", "team-a", stdin=text)[1]


WRONG: dict[str, dict[str, Any]] = {
    "spec.generation.numBeams": {"spec__generation__numBeams": 17},
    "spec.generation.numBeam: unknown field; did you mean numBeams?": {"spec__generation__numBeam": 4},
    "spec.model.uri: Field required": {"spec__model__uri": ABSENT},
    "spec.model.uri: 's3://a/b' does not fit: Where the bundle lies": {"spec__model__uri": "s3://a/b"},
    "spec.model.version: Input should be a valid string": {"spec__model__version": 1.0},
    "spec.model.digest": {"spec__model__digest": "sha256:abc"},
    "spec.rollout.progressDeadline: must be at least 5s": {"spec__rollout__progressDeadline": "1s"},
    "spec.rollout.drain: '1 day' does not fit": {"spec__rollout__drain": "1 day"},
    "spec.runtime.resources.memory: must be at least 256Mi": {"spec__runtime__resources__memory": "1Mi"},
    "spec.runtime.resources.cpu: Input should be a valid string": {"spec__runtime__resources__cpu": 1},
    "spec.runtime.precision": {"spec__runtime__precision": "int4"},
    "spec.scaling.minReplicas": {"spec__scaling__minReplicas": True},
    "spec.scaling: Input should be an object": {"spec__scaling": [1]},
    "spec: missing": {"spec": ABSENT},
    "spec: must be an object": {"spec": "x"},
    "metadata.name": {"metadata__name": "Concierge"},
    "metadata.name: None is not": {"metadata__name": ABSENT},
    "metadata: must be an object": {"metadata": None},
    "metadata.namespace": {"metadata__namespace": "a/b"},
    "apiVersion: must be serving.dialogue.dev/v1alpha1": {"apiVersion": "serving.dialogue.dev/v1"},
    "kind: must be DialogueModel": {"kind": ABSENT},
    "specs: unknown field": {"specs": {}},
    "spec.generation.lengthPenalty": {"spec__generation__lengthPenalty": float("nan")},
}


@pytest.mark.parametrize("expected", WRONG)
def test_an_invalid_field_is_named_in_one_line(expected: str, tmp_path: Path) -> None:
    file = tmp_path / "model.yaml"
    file.write_text(yaml.safe_dump(manifest(**WRONG[expected])))
    code, out, err = run("render", str(file))
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {file}: {expected}")
    assert err.count("\n") == 1


def test_every_problem_of_every_document_is_said_at_once() -> None:
    bad = yaml.safe_dump(manifest(spec__generation__numBeams=0, spec__dialogue__maxTurns=0))
    code, out, err = run("render", "-", stdin=f"{GOOD}---\n{bad}")
    assert (code, out) == (2, "")
    assert [line.split(": ")[2:4] for line in err.splitlines()] == [
        ["document 2", "spec.generation.numBeams"],
        ["document 2", "spec.dialogue.maxTurns"],
    ]


BROKEN = {
    "not YAML": b"{a: [",
    "not a manifest but list": b"- 1\n",
    "not a manifest but str": b"hello",
    "no DialogueModel in it": b"apiVersion: v1\nkind: Pod\n",
    "standard input: no DialogueModel in it": b"",
    "codec can't decode": b"\xff\xfe\x00",
    "not a manifest": b"&a [*a]",
    "special characters are not allowed": b"a: \x07",
}


@pytest.mark.parametrize("expected", BROKEN)
def test_a_file_that_is_no_manifest_is_one_line(expected: str) -> None:
    code, out, err = run("render", "-", stdin=BROKEN[expected])
    assert (code, out) == (2, "")
    assert expected in err
    assert err.count("\n") == 1


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    for path, text in ((tmp_path / "none.yaml", "No such file"), (tmp_path, "Is a directory")):
        code, _, err = run("render", str(path))
        assert code == 2
        assert err == f"error: {path}: {text}\n" or err == f"error: {path}: {text} or directory\n"


def test_a_gateway_without_its_namespace_is_refused() -> None:
    code, _, err = run("render", "-", "--gateway", "edge", stdin=GOOD)
    assert (code, err) == (2, "error: --gateway: 'edge' is not NAMESPACE/NAME\n")


def test_run_says_which_setting_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DIALOGUE_OPERATOR_GATEWAY_NAME", raising=False)
    code, _, err = run("run")
    assert (code, err) == (2, "error: DIALOGUE_OPERATOR_GATEWAY_NAME is not set\n")


def test_render_and_crd_load_neither_kopf_nor_the_kubernetes_client() -> None:
    code = "import sys, dialogue_operator.cli; print({'kopf', 'kubernetes', 'aiohttp', 'torch'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": PACKAGES}
    )
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("command", [(), ("run",), ("render",), ("plan",), ("crd",)])
def test_help_shows_an_example(command: tuple[str, ...]) -> None:
    code, out, _ = run(*command, "--help")
    assert code == 0
    assert not command or "Example:" in out
