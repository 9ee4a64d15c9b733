"""The CRD's schema as a page for people: every field with its type, default, bounds and text."""

import json
from collections.abc import Iterator

from dialogue_operator import names
from dialogue_operator.api.base import Json

HEADER = """# DialogueModel

Printed by `make generate` from the CustomResourceDefinition; `kubectl explain {kind} --recursive` says the same.

- API: `{api_version}`, namespaced; short name `{short}`, in category `all`
- `metadata.name` is {name_rule}
- `kubectl scale` sets `spec.scaling.minReplicas`
"""


def reference(crd: Json) -> str:
    """Markdown: one table for each object of the spec and of the status."""
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    header = HEADER.format(
        kind=names.KIND.lower(),
        api_version=names.API_VERSION,
        short=names.SHORT_NAME,
        name_rule=names.NAME_RULE,
    )
    parts = [header]
    for part in ("spec", "status"):
        parts += _tables(part, schema["properties"][part])
    return "\n".join(parts)


def _tables(path: str, schema: Json) -> Iterator[str]:
    lines = [
        f"## {path}",
        "",
        schema["description"],
        "",
        "| field | type | default | text |",
        "| --- | --- | --- | --- |",
    ]
    inner: list[tuple[str, Json]] = []
    for name, field in schema["properties"].items():
        required = "**required**" if name in schema.get("required", []) else _default(field)
        lines.append(f"| `{name}` | {_type(field)} | {required} | {_cell(field['description'])} |")
        if field["type"] == "object":
            inner.append((f"{path}.{name}", field))
        elif field["type"] == "array" and field["items"]["type"] == "object":
            inner.append((f"{path}.{name}[]", field["items"]))
    if rules := [rule["message"] for rule in schema.get("x-kubernetes-validations", [])]:
        lines += ["", "Refused otherwise: " + "; ".join(_cell(rule) for rule in rules) + "."]
    yield "\n".join([*lines, ""])
    for inner_path, field in inner:
        yield from _tables(inner_path, field)


def _type(field: Json) -> str:
    kind = field["type"] if field["type"] != "array" else f"list of {field['items']['type']}"
    bounds = [f"{field['minimum']} to {field['maximum']}"] if {"minimum", "maximum"} <= field.keys() else []
    if "enum" in field:
        bounds.append(", ".join(f"`{value}`" for value in field["enum"] if value != ""))
    bounds += [f"at most {field[key]}" for key in ("maxLength", "maxItems") if key in field]
    if kind != "object":
        bounds += [rule["message"].removeprefix("must be ") for rule in field.get("x-kubernetes-validations", [])]
    return _cell("; ".join([kind, *bounds]))


def _default(field: Json) -> str:
    return f"`{json.dumps(field['default'])}`" if field.get("default") not in (None, {}, [], "") else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
