"""From pydantic's JSON schema to Kubernetes' structural schema.

Structural schemas know no `$ref`, no `anyOf` with types inside and no `const`; every object carries its type. Lists
of conditions, revisions and traffic are maps to server-side apply.
"""

from typing import Any

from dialogue_operator.api.base import ApiModel, Json

LIST_KEYS = {
    "Condition": "type",
    "RevisionRecord": "revision",
    "TrafficShare": "revision",
    "HistoryEntry": None,
}


def structural_schema(model: type[ApiModel]) -> Json:
    """The structural schema of a model and all it contains, with CEL rules, bounds, defaults and texts."""
    raw = model.model_json_schema(by_alias=True, mode="validation")
    return _convert({"$ref": f"#/$defs/{model.__name__}"}, {**raw.get("$defs", {}), model.__name__: raw})


def _convert(node: Json, defs: Json) -> Json:
    node = dict(node)
    own = {key: node[key] for key in ("description", "default") if key in node}
    if "anyOf" in node:  # pydantic's way to say that a field may be absent
        [node] = [option for option in node["anyOf"] if option.get("type") != "null"]
    if "$ref" in node:
        node = defs[node["$ref"].rsplit("/", 1)[1]]
    out: Json = {"type": node["type"]}
    description = own.get("description", node.get("description"))
    if description:
        out["description"] = " ".join(description.split())
    if own.get("default") is not None:  # the API server fills an empty object from its fields' own defaults
        out["default"] = {} if node["type"] == "object" else own["default"]
    for key in (
        "enum",
        "pattern",
        "maxLength",
        "minLength",
        "maximum",
        "minimum",
        "maxItems",
        "x-kubernetes-validations",
    ):
        if key in node:
            out[key] = node[key]
    if node["type"] == "integer":
        out["format"] = "int64"
    if node["type"] == "object":
        out["properties"] = {key: _convert(value, defs) for key, value in node.get("properties", {}).items()}
        if node.get("required"):
            out["required"] = sorted(node["required"])
    if node["type"] == "array":
        items: dict[str, Any] = node["items"]
        out["items"] = _convert(items, defs)
        list_key = LIST_KEYS.get(items.get("$ref", "").rsplit("/", 1)[-1])
        if list_key:
            out |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [list_key]}
        else:
            out["x-kubernetes-list-type"] = "atomic"
    return out
