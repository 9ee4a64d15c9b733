"""Where the spec comes from: a manifest, a bundle folder, or a pod's environment."""

import json
from pathlib import Path

import pytest

from dialogue_predictor import names
from dialogue_predictor.config.source import read_environment, read_path
from dialogue_predictor.errors import SpecInvalid

MANIFEST = """\
apiVersion: v1
kind: ConfigMap
---
apiVersion: example.com/v1
kind: DialogueModel
metadata: {name: concierge}
spec:
  model: {uri: %s}
  generation: {numBeams: 2}
"""


def write_manifest(folder: Path, uri: str) -> Path:
    path = folder / "model.yaml"
    path.write_text(MANIFEST % uri)
    return path


def test_a_manifest_names_the_model(tmp_path: Path) -> None:
    serving = read_path(write_manifest(tmp_path, "builtin://default"), {})
    assert (serving.name, serving.revision, serving.in_pod) == ("concierge", "local", False)
    assert serving.spec.model.uri == "builtin://default"
    assert serving.spec.generation.num_beams == 2


def test_a_folder_starts_where_its_manifest_is(tmp_path: Path) -> None:
    assert read_path(write_manifest(tmp_path, "bundle"), {}).spec.model.uri == str(tmp_path / "bundle")
    assert read_path(write_manifest(tmp_path, "/some/bundle"), {}).spec.model.uri == "/some/bundle"


def test_a_bundle_folder_is_served_with_defaults(tmp_path: Path) -> None:
    serving = read_path(tmp_path, {names.ENV_MODEL_NAME: "mine", names.ENV_REVISION: "12345678"})
    assert (serving.name, serving.revision, serving.spec.model.uri) == ("mine", "12345678", str(tmp_path))
    assert read_path(tmp_path, {}).name == "dialogue"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "is not YAML"),
        ("kind: Pod", "no DialogueModel"),
        ("kind: DialogueModel\nspec: {}", "metadata.name"),
        ("kind: DialogueModel\nmetadata: {name: 3}\nspec: {}", "metadata.name"),
        ("kind: DialogueModel\nmetadata: {name: x}\nspec: 3", "spec: "),
        (MANIFEST % "pvc://claim/path", "is a volume in a cluster"),
    ],
)
def test_a_manifest_that_cannot_be_served_here(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "model.yaml"
    path.write_text(text)
    with pytest.raises(SpecInvalid) as caught:
        read_path(path, {})
    assert words in caught.value.message


def test_a_manifest_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SpecInvalid, match="no such manifest or bundle"):
        read_path(tmp_path / "nothing.yaml", {})


def pod(uri: str, **more: str) -> dict[str, str]:
    spec = json.dumps({"model": {"uri": uri}})
    return {names.ENV_SPEC: spec, names.ENV_MODEL_NAME: "concierge", names.ENV_REVISION: "deadbeef", **more}


def test_a_pod_reads_what_the_operator_set() -> None:
    serving = read_environment(pod("pvc://claim/path"))
    assert (serving.name, serving.revision, serving.in_pod) == ("concierge", "deadbeef", True)
    assert serving.spec.model.uri == "pvc://claim/path"


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "give a manifest or a bundle"),
        ({names.ENV_SPEC: "{}"}, names.ENV_MODEL_NAME),
        (pod("builtin://default", **{names.ENV_SPEC: "{"}), "is not JSON"),
        (pod("builtin://default", **{names.ENV_SPEC: "[]"}), "spec: "),
    ],
)
def test_an_environment_that_says_too_little(environ: dict[str, str], words: str) -> None:
    with pytest.raises(SpecInvalid) as caught:
        read_environment(environ)
    assert words in caught.value.message
