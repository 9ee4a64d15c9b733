"""From a file to DialogueModels, as strictly as the API server would read it, with errors that name the field."""

import difflib
import functools
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
from dialogue_operator.api.status import DialogueModelStatus

STDIN = "-"
UID = "set-by-the-api-server"


class NotUsable(Exception):
    """What is wrong with a file, one line a problem."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def read_models(file: str, namespace: str, recorded: bool = False) -> list[DialogueModel]:
    """Every DialogueModel in a file or on standard input; other kinds are passed over. Raises NotUsable.

    As new, without a status; or, where they were read from a cluster, with the one that is recorded.
    """
    where = "standard input" if file == STDIN else file
    documents = [one for one in _documents(_text(file, where), where) if one is not None]
    ours = [(index, one) for index, one in enumerate(documents, 1) if not isinstance(one, dict) or _is_ours(one)]
    if not ours:
        raise NotUsable([f"{where}: no {names.KIND} in it"])
    problems: list[str] = []
    models: list[DialogueModel] = []
    for index, document in ours:
        place = f"{where}: document {index}" if len(documents) > 1 else where
        try:
            models.append(model_of(document, namespace, recorded))
        except NotUsable as error:
            problems += [f"{place}: {problem}" for problem in error.problems]
    if problems:
        raise NotUsable(problems)
    return models


def model_of(document: Any, namespace: str, recorded: bool = False) -> DialogueModel:
    """One manifest. Raises NotUsable."""
    document = _as_kept(document)
    if problems := list(_problems(document)):
        raise NotUsable(problems)
    status = document.get("status", {}) if recorded else {}
    try:
        DialogueModelStatus.model_validate(status)
    except ValidationError:
        raise NotUsable(["status: written by another release of the operator"]) from None
    metadata = {"namespace": namespace, "uid": UID, **document["metadata"]}
    return DialogueModel.parse({"metadata": metadata, "spec": document["spec"], "status": status})


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
        found = [json.loads(json.dumps(one, default=str)) for one in yaml.safe_load_all(text)]
    except yaml.YAMLError as error:
        raise NotUsable([f"{where}: not YAML: {' '.join(str(error).split())}"]) from None
    except (RecursionError, ValueError, TypeError) as error:
        raise NotUsable([f"{where}: not a manifest: {error}"]) from None
    return [inner for one in found for inner in _items(one)]


def _items(document: Any) -> list[Any]:
    """`kubectl get -o yaml` wraps several objects in a list."""
    if isinstance(document, dict) and document.get("kind") in {"List", f"{names.KIND}List"}:
        items = document.get("items")
        return items if isinstance(items, list) else []
    return [document]


def _as_kept(value: Any) -> Any:
    """As kubectl sends it and the API server reads it: 4.0 is 4, and a key that is null is a key that is not there."""
    if isinstance(value, dict):
        return {key: _as_kept(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_as_kept(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


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
    yield from _unknown_fields(spec, _schema(), "spec")
    try:
        DialogueModelSpec.model_validate_json(json.dumps(spec), strict=True)
    except ValidationError as error:
        for one in error.errors(include_url=False):
            text = one["msg"].removeprefix("Value error, ")
            if one["type"] == "string_pattern_mismatch":
                text = f"{one['input']!r} does not fit: {_described(_schema(), one['loc'])}"
            yield f"spec{_path(one['loc'])}: {text}"


@functools.cache
def _schema() -> Json:
    return structural_schema(DialogueModelSpec)


def _path(parts: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)


def _unknown_fields(value: Any, schema: Json, path: str) -> Iterator[str]:
    if isinstance(value, list) and "items" in schema:
        for index, inner in enumerate(value):
            yield from _unknown_fields(inner, schema["items"], f"{path}[{index}]")
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


def _described(schema: Json, path: tuple[int | str, ...]) -> str:
    """The text of a field; an item of a list goes by the text of the list."""
    text = ""
    for part in path:
        schema = schema["items"] if isinstance(part, int) else schema["properties"][part]
        text = schema.get("description", text)
    return str(text)
