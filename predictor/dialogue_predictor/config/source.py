"""From an argument or the environment to what is served: a name, a revision and a spec.

A person gives a manifest or a bundle; a pod has neither and reads the environment that the operator set. Only
there may a `pvc://` bundle be meant, because only there KServe has mounted it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dialogue_predictor import names
from dialogue_predictor.config.spec import ModelSource, ServingSpec, parse_spec
from dialogue_predictor.errors import SpecInvalid

KIND = "DialogueModel"
VOLUME = "pvc://"
LOCAL_NAME = "dialogue"


@dataclass(frozen=True, slots=True)
class Serving:
    """What one predictor serves. `in_pod` says that the environment asked for it, not a person.

    A folder in `spec.model.uri` is whole: it does not depend on where a manifest was.
    """

    name: str
    revision: str
    spec: ServingSpec
    in_pod: bool = False


def read_path(path: Path, environ: Mapping[str, str]) -> Serving:
    """A manifest file or a bundle folder. Raises SpecInvalid."""
    revision = environ.get(names.ENV_REVISION) or names.DEFAULT_REVISION
    if path.is_dir():
        spec = ServingSpec(model=ModelSource(uri=str(path)))
        return Serving(environ.get(names.ENV_MODEL_NAME) or LOCAL_NAME, revision, spec)
    if not path.is_file():
        raise SpecInvalid(f"{path}: no such manifest or bundle")
    manifest = _read_manifest(path)
    metadata = manifest.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(name, str) or not name:
        raise SpecInvalid(f"{path}: metadata.name: give the model a name")
    spec = parse_spec(manifest.get("spec"))
    if spec.model.uri.startswith(VOLUME):
        raise SpecInvalid(
            f"spec.model.uri: {spec.model.uri} is a volume in a cluster; to serve it here, "
            "copy the bundle and give its folder"
        )
    return Serving(name, revision, _beside(path, spec))


def read_environment(environ: Mapping[str, str]) -> Serving:
    """What the operator asked this pod to serve. Raises SpecInvalid."""
    raw = environ.get(names.ENV_SPEC)
    if not raw:
        raise SpecInvalid(f"nothing to serve: give a manifest or a bundle, or set {names.ENV_SPEC}")
    name = environ.get(names.ENV_MODEL_NAME)
    if not name:
        raise SpecInvalid(f"{names.ENV_MODEL_NAME} is not set")
    try:
        values = json.loads(raw)
    except ValueError as error:
        raise SpecInvalid(f"{names.ENV_SPEC} is not JSON: {error}") from None
    revision = environ.get(names.ENV_REVISION) or names.DEFAULT_REVISION
    return Serving(name, revision, parse_spec(values), in_pod=True)


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecInvalid(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    for document in documents:
        if isinstance(document, dict) and document.get("kind") == KIND:
            return document
    raise SpecInvalid(f"{path}: no {KIND} in it")


def _beside(manifest: Path, spec: ServingSpec) -> ServingSpec:
    """The spec with a relative folder made to start where its manifest is."""
    if "://" in spec.model.uri:
        return spec
    model = spec.model.model_copy(update={"uri": str(manifest.parent / spec.model.uri)})
    return spec.model_copy(update={"model": model})
