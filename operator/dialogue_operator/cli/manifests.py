"""From a file to DialogueModels, as strictly as the API server would read it, with errors that name the field."""

import difflib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from dialogue_operator import names
from dialogue_operator.api.base import Json
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.api.schema import structural_schema
from dialogue_operator.api.spec import DialogueModelSpec

STDIN = "-"
UID = "set-by-the-api-server"


class NotUsable(Exception):
    """What is wrong with a file, one line a problem."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def read_models(file: str, namespace: str) -> list[DialogueModel]:
    """Every DialogueModel in a file or on standard input; other kinds are passed over. Raises NotUsable."""
    where = "standard input" if file == STDIN else file
    documents = [one for one in _documents(_text(file, where), where) if one is not None]
    ours = [(index, one) for index, one in enumerate(documents, 1) if not isinstance(one, dict) or _is_ours(one)]
    if not ours:
        raise NotUsable([f"{where}: no {names.KIND} in it"])
    several = len(documents) > 1
    problems: list[str] = []
    models: list[DialogueModel] = []
    for index, document in ours:
        place = f"{where}: document {index}" if several else where
        found = list(_problems(document))
        problems += [f"{place}: {problem}" for problem in found]
        if not found:
            metadata = {"namespace": namespace, "uid": UID, **document["metadata"]}
            models.append(DialogueModel.parse({"metadata": metadata, "spec": document["spec"]}))
    if problems:
        raise NotUsable(problems)
    return models


def _text(file: str, where: str) -> str:
    try:
        data = sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
        return data.decode()
    except OSError as error:
        raise NotUsable([f"{where}: {error.strerror or error}"]) from None
    except ValueError as error:  # not UTF-8, or a path with a NUL in it
        raise NotUsable([f"{where}: {error}"]) from None


def _documents(text: str, where: str) -> list[Any]:
    try:
        return [json.loads(json.dumps(one, default=str)) for one in yaml.safe_load_all(text)]
    except yaml.YAMLError as error:
        raise NotUsable([f"{where}: not YAML: {' '.join(str(error).split())}"]) from None
    except (RecursionError, ValueError, TypeError) as error:
        raise NotUsable([f"{where}: not a manifest: {error}"]) from None


def _is_ours(document: Json) -> bool:
    return bool(document.get("kind", names.KIND) == names.KIND)


def _problems(document: Any) -> Iterator[str]:
    if not isinstance(document, dict):
        yield f"not a manifest but {type(document).__name__}"
        return
    if document.get("kind") != names.KIND:
        yield f"kind: must be {names.KIND}"
    if document.get("apiVersion") != names.API_VERSION:
        yield f"apiVersion: must be {names.API_VERSION}, not {document.get('apiVersion')!r}"
    for key in sorted(document.keys() - {"apiVersion", "kind", "metadata", "spec", "status"}, key=str):
        yield f"{key}: unknown field"
    yield from _metadata_problems(document.get("metadata"))
    yield from _spec_problems(document.get("spec"))


def _metadata_problems(metadata: Any) -> Iterator[str]:
    if not isinstance(metadata, dict):
        yield "metadata: must be an object with a name"
        return
    name, namespace = metadata.get("name"), metadata.get("namespace", "default")
    if not isinstance(name, str) or len(name) > names.MAX_NAME_LENGTH or not re.fullmatch(names.NAME_PATTERN, name):
        yield f"metadata.name: {name!r} is not {names.NAME_RULE}"
    if not isinstance(namespace, str) or not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", namespace):
        yield f"metadata.namespace: {namespace!r} is not the name of a namespace"


def _spec_problems(spec: Any) -> Iterator[str]:
    if not isinstance(spec, dict):
        yield "spec: must be an object" if spec is not None else "spec: missing"
        return
    schema = structural_schema(DialogueModelSpec)
    yield from _unknown_fields(spec, schema, "spec")
    try:
        DialogueModelSpec.model_validate_json(json.dumps(spec), strict=True)
    except ValidationError as error:
        for one in error.errors(include_url=False):
            path = [str(part) for part in one["loc"]]
            text = one["msg"].removeprefix("Value error, ")
            if one["type"] == "string_pattern_mismatch":
                text = f"{one['input']!r} does not fit: {_described(schema, path)}"
            yield f"{'.'.join(('spec', *path))}: {text}"


def _unknown_fields(value: Any, schema: Json, path: str) -> Iterator[str]:
    known = schema.get("properties")
    if not isinstance(value, dict) or known is None:
        return
    for key, inner in value.items():
        if key in known:
            yield from _unknown_fields(inner, known[key], f"{path}.{key}")
        else:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"
            yield f"{path}.{key}: unknown field{hint}"


def _described(schema: Json, path: list[str]) -> str:
    for key in path:
        schema = schema["properties"][key]
    return str(schema["description"])
