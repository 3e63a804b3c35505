"""Changes the text of a YAML file, and keeps its comments, quotes and number formats."""

from collections.abc import Mapping
from io import StringIO
from typing import Any

from ruamel.yaml import YAML

from tenantry.declared.changes import as_text, with_numbers


def round_trip() -> YAML:
    """Return a YAML parser and emitter that preserve everything they do not change."""
    yaml = YAML(pure=True)
    yaml.preserve_quotes = True
    yaml.width = 4096  # long lines stay as their author broke them
    yaml.indent(mapping=2, sequence=4, offset=2)
    return with_numbers(yaml)


def dump(content: Any) -> str:
    """Return the text of a YAML file with this content."""
    body = StringIO()
    round_trip().dump(content, body)
    return body.getvalue()


def update_mapping(document: Any, before: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    """Update a mapping of a document in place from the content `before` to `content`."""
    for key in [key for key in document if key not in content]:
        del document[key]
    for key, value in content.items():
        here = before.get(key)
        inside = isinstance(here, dict) and isinstance(value, dict) and value
        if inside and isinstance(document.get(key), dict):
            update_mapping(document[key], here or {}, value)
        elif key not in document or as_text(here) != as_text(value):
            document[key] = value
