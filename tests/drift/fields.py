"""Paths and other values of declared fields."""

from collections.abc import Iterator, Mapping
from typing import Any

from tenantry.marks import parse
from tenantry.resources import Exactly, Path


def leaves(fields: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the paths of the declared fields."""
    value = fields.value if isinstance(fields, Exactly) else fields
    if isinstance(value, Mapping) and value:
        for key, below in value.items():
            yield from leaves(below, (*path, key))
    else:
        yield path


def value_at(fields: Any, path: Path) -> Any:
    """Return the value of the field at a path."""
    for step in path:
        fields = (fields.value if isinstance(fields, Exactly) else fields)[step]
    return fields.value if isinstance(fields, Exactly) else fields


def with_other_value(fields: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the fields with another value at a path."""
    key, *rest = path
    value = with_other_value(fields[key], tuple(rest)) if rest else other_value(fields[key])
    return {**fields, key: value}


def other_value(value: Any) -> Any:
    """Return another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, list | tuple):
        if value and isinstance(value[-1], Mapping):
            return [*value[:-1], _with_another_end(value[-1])]
        return [*value, "another"] if value else ["another"]
    text = str(value)
    number = text.rstrip("KMGTPEimnuk")
    if number.isdigit():
        return f"{int(number) * 2}{text[len(number) :]}"
    if parse(text) is not None:
        return "by hand"  # another team's mark would make it foreign
    return f"{text}x"


def _with_another_end(value: Any) -> Any:
    """Return the value with its last element changed."""
    if isinstance(value, Mapping) and value:
        key = list(value)[-1]
        return {**value, key: _with_another_end(value[key])}
    if isinstance(value, list | tuple) and value:
        return [*value[:-1], _with_another_end(value[-1])]
    return other_value(value)
