"""Faults of the declared state, each in the form `file:line: field: problem, allowed values`."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tenantry.declared.parsing import Lines, source_text
from tenantry.declared.types import Model
from tenantry.text import one_line

CONFIDENTIAL = "confidential"
"""The type of a pydantic error whose message must not show the value, which may be a secret."""

Place = tuple[str | int, ...]
"""A field's path in a document: the keys and indexes that lead to it."""


@dataclass(frozen=True)
class Document:
    """One YAML file with the line numbers of its keys."""

    name: str
    """The file's name, relative to the declared state's folder."""
    data: Any
    """The content as plain values."""
    lines: Lines = field(default=Lines(1))
    """The line numbers of the keys."""

    def has(self, place: Place) -> bool:
        """Return whether the document has this field."""
        return len(self._walk(place)[0]) == len(place)

    def line(self, place: Place) -> int:
        """Return the line of a field, or of its deepest existing ancestor."""
        return self._walk(place)[1]

    def fault(self, place: Place, text: str) -> str:
        """Return a fault at a field, with the line of the field or its deepest ancestor."""
        line = self.line(place)
        field = _field_name(place)
        where = f"{self.name}:{line}: {field}" if field else f"{self.name}:{line}"
        return one_line(f"{where}: {text}")

    def _walk(self, place: Place) -> tuple[Place, int]:
        node, line = self.lines, 1
        found: Place = ()
        for step in place:
            if step not in node.below:
                break
            node = node.below[step]
            line = node.line
            found = (*found, step)
        return found, line


def _field_name(place: Place) -> str:
    name = ""
    for step in place:
        key = " ".join(str(step).split())
        name += f"[{step}]" if isinstance(step, int) else f".{key}" if name else key
    return name


def explain(error: ValidationError, model: type[Model], document: Document) -> list[str]:
    """Return one fault per invalid field; the alternatives of a union are one fault."""
    return explain_at(places_of(error, document), model, document)


def places_of(error: ValidationError, document: Document) -> dict[Place, list[ErrorDetails]]:
    """Return the validation errors by the field in the document."""
    found: dict[Place, list[ErrorDetails]] = {}
    for detail in error.errors():
        found.setdefault(_place_in(document, detail["loc"]), []).append(detail)
    return found


def explain_at(
    found: Mapping[Place, list[ErrorDetails]], model: type[Model], document: Document
) -> list[str]:
    """Return one fault per field."""
    return [
        document.fault(place, _value(details[0]) + ", or ".join(_texts(details, model, place)))
        for place, details in found.items()
    ]


_KINDS: dict[str, str] = {
    "model_type": "must contain keys and values",
    "dict_type": "must contain keys and values",
    "list_type": "must be a list",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "date_type": "must be a date, such as 2026-12-31",
    "date_parsing": "must be a date, such as 2026-12-31",
    "date_from_datetime_parsing": "must be a date, such as 2026-12-31",
    "date_from_datetime_inexact": "must be a date without a time",
    "string_type": "must be text",
}
"""The requirement on a value, by pydantic's error type."""


def describe(value: Any) -> str:
    """Return the type of a value in the terms of a file's author."""
    if isinstance(value, Mapping):
        return "keys and values"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, date):
        return "a date"
    return "nothing" if value is None else "text"


def _value(detail: ErrorDetails) -> str:
    """Return the invalid value as a prefix of the message, if it is a single value."""
    value = detail["input"]
    if value is None or detail["type"] in ("extra_forbidden", "missing", CONFIDENTIAL):
        return ""
    if isinstance(value, Mapping | list):
        return ""
    return f"{source_text(value) if not isinstance(value, str) else repr(value)}: "


def _texts(details: list[ErrorDetails], model: type[Model], place: Place) -> Iterator[str]:
    wanted = [_KINDS[d["type"]] for d in details if d["type"] in _KINDS]
    value = details[0]["input"]
    if wanted and value is None:
        yield (
            "has no value (all lines below it may be commented out); "
            f"it {' or '.join(dict.fromkeys(wanted))}: add a value, or remove the key"
        )
        return
    for detail in details:
        text = detail["msg"]
        if detail["type"] == "extra_forbidden":
            known = _known_keys(model, place[:-1])
            near = difflib.get_close_matches(str(place[-1]), known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(known)}"
            yield f"unknown key; {hint}"
        elif detail["type"] == "missing":
            yield "is required"
        elif detail["type"] == "value_error":
            yield text.removeprefix("Value error, ")
        elif detail["type"] == "string_type" and isinstance(value, bool | int | float | date):
            yield f"must be text: quote it, such as '{source_text(value)}'"
        elif detail["type"] in _KINDS:
            given = describe(value) if isinstance(value, Mapping | list) else ""
            yield _KINDS[detail["type"]] + (f", not {given}" if given else "")
        else:
            yield text[0].lower() + text[1:]


def _place_in(document: Document, loc: tuple[str | int, ...]) -> Place:
    """Return an error's path without the elements that pydantic adds for unions and keys."""
    node: Any = document.data
    place: list[str | int] = []
    for step in loc[:-1]:
        in_list = isinstance(node, list) and isinstance(step, int) and step < len(node)
        if in_list or (isinstance(node, Mapping) and step in node):
            node = node[step]
            place.append(step)
    last = loc[-1] if loc else "[key]"
    inside = isinstance(node, Mapping | list)
    return (*place, last) if inside and last != "[key]" else tuple(place)


@cache
def _schema(model: type[Model]) -> dict[str, Any]:
    return model.model_json_schema()


def _known_keys(model: type[Model], place: Place) -> list[str]:
    """Return the keys that the schema allows at a path, sorted."""
    root = _schema(model)
    options = [root]
    for step in (*place, None):
        options = [part for option in options for part in _unfold(root, option)]
        if step is None:
            break
        options = [value for option in options for value in _below(option, step)]
    return sorted({key for option in options for key in option.get("properties", {})})


def _below(option: dict[str, Any], step: str | int) -> list[dict[str, Any]]:
    """Return the schemas one step below."""
    if isinstance(step, int):
        values = [option.get("items")]
    elif step in option.get("properties", {}):
        values = [option["properties"][step]]
    else:
        values = [*option.get("patternProperties", {}).values(), option.get("additionalProperties")]
    return [value for value in values if isinstance(value, dict)]


def _unfold(root: dict[str, Any], option: dict[str, Any]) -> list[dict[str, Any]]:
    if "$ref" in option:
        return _unfold(root, root["$defs"][option["$ref"].rsplit("/", 1)[-1]])
    if "anyOf" in option:
        return [part for choice in option["anyOf"] for part in _unfold(root, choice)]
    if option.get("type") in ("object", "array"):
        return [option]
    return []
