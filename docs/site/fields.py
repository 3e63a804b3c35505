"""Generates the reference of the fields of the declared state from its models."""

import json
from collections.abc import Iterator
from typing import Any

from tenantry.declared.network_policy_fields import NetworkPolicyFields
from tenantry.declared.schema import FILES, content

_KUBERNETES = NetworkPolicyFields.__name__
"""A type of Kubernetes, which documents its fields."""

Schema = dict[str, Any]


def tables(file: str) -> Iterator[str]:
    """Return the fields of `platform` or `team`: a table of its own values, and one for each section."""
    root = content(FILES[f"{file}.schema.json"])
    definitions = root["$defs"]
    sections = {
        name: schema
        for name, schema in root["properties"].items()
        if any(True for _ in _nested(name, schema, definitions))
    }
    own = {name: schema for name, schema in root["properties"].items() if name not in sections}
    yield from _table([_row(name, schema, root, definitions) for name, schema in own.items()])
    for name, schema in sections.items():
        yield from ("", f"### `{name}`", "", _sentence(schema, definitions), "")
        yield from _table(list(_nested(name, schema, definitions)))


def _table(rows: list[list[str]]) -> Iterator[str]:
    yield "| field | type | default | |"
    yield "|---|---|---|---|"
    for row in rows:
        yield f"| {' | '.join(row)} |".replace("|  |", "| |")


def _nested(path: str, schema: Schema, definitions: Schema) -> Iterator[list[str]]:
    """Yield the rows of the fields below a field, if it is a mapping, or a list of mappings."""
    found = _model(schema, definitions)
    if not found:
        return
    suffix, name = found
    model = definitions[name]
    for field, below in model.get("properties", {}).items():
        yield _row(f"{path}{suffix}.{field}", below, model, definitions, name=field)
        yield from _nested(f"{path}{suffix}.{field}", below, definitions)


def _model(schema: Schema, definitions: Schema) -> tuple[str, str] | None:
    """Return the model of a field's values, with what its path gets, such as `[]`; None for a value."""
    for each in [schema, *schema.get("anyOf", [])]:
        if name := each.get("$ref", "").rpartition("/")[2]:
            is_ours = name != _KUBERNETES and "properties" in definitions[name]
            return ("", name) if is_ours else None
        if isinstance(each.get("items"), dict) and (found := _model(each["items"], definitions)):
            return f"[]{found[0]}", found[1]
        for values in _values(each):
            if found := _model(values, definitions):
                return f".<name>{found[0]}", found[1]
    return None


def _values(schema: Schema) -> list[Schema]:
    """Return the schemas of the values of a mapping whose keys are names."""
    given = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")]
    return [each for each in given if isinstance(each, dict)]


def _row(
    path: str, schema: Schema, model: Schema, definitions: Schema, name: str = ""
) -> list[str]:
    required = (name or path) in model.get("required", [])
    default = "required" if required else _default(schema, definitions)
    return [f"`{path}`", _type(schema, definitions), default, _sentence(schema, definitions)]


def _sentence(schema: Schema, definitions: Schema) -> str:
    text = schema.get("description", "")
    if not text and "$ref" in schema:
        text = definitions[schema["$ref"].rpartition("/")[2]].get("description", "")
    parts = " ".join(text.split()).replace("|", r"\|").split("`")
    parts[::2] = (part.replace("<", "&lt;") for part in parts[::2])  # outside of code
    return "`".join(parts)


def _default(schema: Schema, definitions: Schema) -> str:
    default = schema.get("default")
    if default in (None, "", [], {}) or (isinstance(default, dict) and _model(schema, definitions)):
        return ""
    text = default if isinstance(default, str) else json.dumps(default)
    return f"`{text}`".replace("|", r"\|")


def _type(schema: Schema, definitions: Schema) -> str:
    """Return the type of a field in a word or two."""
    if "anyOf" in schema:
        found = dict.fromkeys(_type(each, definitions) for each in schema["anyOf"])
        return " or ".join(found)
    if name := schema.get("$ref", "").rpartition("/")[2]:
        if name == _KUBERNETES:
            return "spec of a NetworkPolicy"
        return _type(definitions[name], definitions)
    if values := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return ", ".join(f"`{json.dumps(each).strip(chr(34))}`" for each in values)
    kind = schema.get("type", "any value")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}), definitions)}"
    if kind == "object" and (values := _values(schema)):
        return f"mapping to {' or '.join(dict.fromkeys(_type(e, definitions) for e in values))}"
    names = {"string": "text", "object": "mapping", "boolean": "true, false", "null": "null"}
    kinds: list[str] = kind if isinstance(kind, list) else [kind]
    return " or ".join(names.get(each, each) for each in kinds)
