"""The fields of the declared state, with their types, defaults and examples, read from its models.

The documentation and `tenantry explain` show them.
"""

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tenantry.declared.network_policy_fields import NetworkPolicyFields
from tenantry.declared.parsing import parse
from tenantry.declared.schema import FILES, content
from tenantry.declared.yaml_nodes import FaultyText
from tenantry.errors import DeclarationError

_KUBERNETES = NetworkPolicyFields.__name__
"""A type of Kubernetes, which documents its fields."""
_KEY = "<name>"
"""The key of a mapping in a path, where any name may stand."""

Schema = dict[str, Any]


@dataclass(frozen=True)
class Field:
    """A field of `platform.yaml` or of a team's file, or one of the two files."""

    path: str
    """The keys that lead to it, such as `robots.<name>.sinks[].namespace`; empty for the file."""
    key: str
    """The last key of the path."""
    is_required: bool
    """Whether each mapping that contains it must have it."""
    schema: Schema
    """Its JSON Schema."""
    _definitions: Schema

    @property
    def type(self) -> str:
        """The type in a word or two; the allowed values in backticks if there are few."""
        return _type(self.schema, self._definitions)

    @property
    def default(self) -> str:
        """The default as YAML; empty if there is none."""
        default = self.schema.get("default")
        if default in (None, "", [], {}) or (isinstance(default, dict) and self.below):
            return ""
        return default if isinstance(default, str) else json.dumps(default)

    @property
    def description(self) -> str:
        """What it declares, in one line of Markdown."""
        text = self.schema.get("description", "")
        if not text and "$ref" in self.schema:
            text = self._definitions[_referred(self.schema)].get("description", "")
        return " ".join(text.split())

    @cached_property
    def below(self) -> tuple["Field", ...]:
        """The fields in it, if it is a mapping, or a list or a mapping of mappings."""
        found = _model(self.schema, self._definitions)
        if found is None:
            return ()
        suffix, model = found
        required = model.get("required", [])
        path = f"{self.path}{suffix}." if self.path or suffix else ""
        return tuple(
            Field(f"{path}{key}", key, key in required, schema, self._definitions)
            for key, schema in model.get("properties", {}).items()
        )

    @property
    def has_entries(self) -> bool:
        """Whether it is a mapping whose keys are names."""
        return any(field.path.startswith(f"{self.path}.{_KEY}.") for field in self.below)

    def walk(self) -> Iterator["Field"]:
        """Yield all fields below it, each before those in it."""
        for field in self.below:
            yield field
            yield from field.walk()

    @property
    def example(self) -> Any:
        """An example of its value."""
        return _example(self.schema, self._definitions)


def file(name: str) -> Field:
    """Return the file `platform` or `team` with its fields."""
    schema = content(FILES[f"{name}.schema.json"])
    return Field("", name, False, schema, schema["$defs"])


def find(path: str) -> tuple[str, Field]:
    """Return a field by its path, with the name of its file.

    Args:
        path: the path, such as `team.harbor.storage_quota`, or without `team` or `platform` if only
            one of them has the field. Any key of a mapping may stand for `<name>`.

    Raises:
        DeclarationError: there is no such field; the message names the most similar ones.
    """
    name, _, rest = path.partition(".")
    files = {each: file(each) for each in ("team", "platform")}
    in_file = name in files
    if in_file:
        files = {name: files[name]}
    wanted = [key for key in _keys(rest if in_file else path) if not key.isdigit()]
    known: dict[str, tuple[str, Field]] = {}
    for name, root in files.items():
        for field in (root, *root.walk()) if in_file else root.walk():
            keys = _keys(field.path)
            entry = [*keys, _KEY] if field.has_entries else keys
            if _matches(keys, wanted) or _matches(entry, wanted):
                return name, field
            known.setdefault(f"{name}.{field.path}", (name, field))
    full = path if in_file else f"team.{path}"
    near = difflib.get_close_matches(full, known, n=3, cutoff=0.5)
    same = [each for each in known if each.rpartition(".")[2] == (wanted or [""])[-1]]
    hint = ", ".join(dict.fromkeys([*same[:3], *near])) or "what 'tenantry explain' lists"
    raise DeclarationError([f"'{path}' is not a field; see {hint}"])


def _keys(path: str) -> list[str]:
    return [key for key in re.split(r"[.\[\]]+", path) if key]


def _matches(keys: list[str], wanted: list[str]) -> bool:
    """Return whether a path is the one that is wanted; the name of a mapping's entry may be left out."""
    if not keys or not wanted:
        return keys == wanted
    if keys[0] == _KEY:
        return _matches(keys[1:], wanted[1:]) or _matches(keys[1:], wanted)
    return keys[0] == wanted[0] and _matches(keys[1:], wanted[1:])


def _referred(schema: Schema) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _model(schema: Schema, definitions: Schema) -> tuple[str, Schema] | None:
    """Return the model of a field's values, with what its path gets, such as `[]`; None for a value."""
    if "properties" in schema:
        return "", schema
    for each in [schema, *schema.get("anyOf", [])]:
        if name := _referred(each):
            is_ours = name != _KUBERNETES and "properties" in definitions[name]
            return ("", definitions[name]) if is_ours else None
        if isinstance(each.get("items"), dict) and (found := _model(each["items"], definitions)):
            return f"[]{found[0]}", found[1]
        for values in _values(each):
            if found := _model(values, definitions):
                return f".{_KEY}{found[0]}", found[1]
    return None


def _values(schema: Schema) -> list[Schema]:
    """Return the schemas of the values of a mapping whose keys are names."""
    given = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")]
    return [each for each in given if isinstance(each, dict)]


def _type(schema: Schema, definitions: Schema) -> str:
    if "anyOf" in schema:
        found = dict.fromkeys(_type(each, definitions) for each in schema["anyOf"])
        return " or ".join(found)
    if name := _referred(schema):
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


def _example(schema: Schema, definitions: Schema) -> Any:
    if "anyOf" in schema:
        return _example({**schema["anyOf"][0], **_described(schema)}, definitions)
    if name := _referred(schema):
        return _example({**definitions[name], **_described(schema)}, definitions)
    if values := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return values[0]
    kinds = schema.get("type", "string")
    kind = kinds[0] if isinstance(kinds, list) else kinds
    said = _said(schema, kind)
    if said is not None:
        return said
    if kind == "boolean":
        return not schema.get("default", False)
    if schema.get("default") and (kind != "object" or not _model(schema, definitions)):
        return schema["default"]
    if kind == "array":
        described = {"description": schema.get("description", "")}
        return [_example({**schema.get("items", {}), **described}, definitions)]
    if kind == "object":
        return _example_of_mapping(schema, definitions)
    if kind in ("integer", "number"):
        return schema.get("minimum", 1)
    return "shop"


def _said(schema: Schema, kind: str) -> Any:
    """Return the value that a description gives as an example; None if it gives none of this type."""
    said = re.search(r"such as `([^`]+)`", " ".join(schema.get("description", "").split()))
    if said is None:
        return None
    if kind == "string":
        return said[1]
    try:
        value = parse(said[1]).data
    except FaultyText:
        return None
    types = {"object": dict, "array": list, "integer": int, "number": int}
    return value if isinstance(value, types.get(kind, ())) else None


def _described(schema: Schema) -> Schema:
    """Return what a field says about itself, beyond its type."""
    return {key: schema[key] for key in ("description", "default") if schema.get(key) is not None}


def _example_of_mapping(schema: Schema, definitions: Schema) -> Any:
    if "properties" in schema:
        required = schema.get("required") or list(schema["properties"])[:1]
        return {key: _example(schema["properties"][key], definitions) for key in required}
    for values in _values(schema):
        return {"web": _example(values, definitions)}
    return {}
