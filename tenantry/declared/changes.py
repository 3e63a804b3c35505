"""Compares two contents of a team file, and formats values as in the file."""

import sys
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from tenantry.declared import parsing
from tenantry.wording import NONE

_LONGEST = 200


class FieldChange(NamedTuple):
    """A field of a team file that a call changes."""

    field: str
    declared: str
    """The field's value in the file, or NONE."""
    given: str
    """The field's value after the call, or NONE."""

    @property
    def cut(self) -> "FieldChange":
        """The change with long values truncated, for display only."""
        return FieldChange(self.field, _cut(self.declared), _cut(self.given))


def differences(before: Any, after: Any, under: str = "") -> Iterator[FieldChange]:
    """Yield the fields in which two contents of a team file differ."""
    for key in {**before, **after}:
        old, new = before.get(key), after.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from differences(old, new, f"{under}{key}.")
            continue
        shown = [_in_file(side[key]) if key in side else NONE for side in (before, after)]
        if shown[0] != shown[1]:
            yield FieldChange(f"{under}{key}", *shown)


def _in_file(value: Any) -> str:
    """Return a value as one line of YAML: `'#shop'`, `[bob]`, `{storage_quota: 20Gi}`."""
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.default_flow_style = True
    yaml.sort_base_mapping_type_on_output = False
    yaml.allow_unicode = True
    yaml.width = sys.maxsize
    body = StringIO()
    with_numbers(yaml).dump({"value": value}, body)
    return body.getvalue().strip().removeprefix("{value: ").removesuffix("}")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 2]} …"


def as_text(value: Any) -> Any:
    """Return a value with numbers as their source text: `0042` differs from `42`, `4` equals `"4"`."""
    if isinstance(value, dict):
        return {key: as_text(each) for key, each in value.items()}
    if isinstance(value, list):
        return [as_text(each) for each in value]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return parsing.source_text(value) if number else value


def with_numbers(yaml: YAML) -> YAML:
    """Return the YAML writer, set to write numbers as in their source text."""
    for kind, tag in ((parsing.Int, "int"), (parsing.Float, "float")):
        yaml.representer.add_representer(kind, _as_written(f"tag:yaml.org,2002:{tag}"))
    return yaml


def _as_written(tag: str) -> Callable[[Any, Any], Any]:
    return lambda representer, value: representer.represent_scalar(tag, value.text)
