"""The command `tenantry explain`."""

from io import StringIO
from typing import Any

from ruamel.yaml import YAML

from tenantry.commands.output import give, say
from tenantry.declared.fields import Field, file, find
from tenantry.text import json_text


def run(path: str | None, *, as_json: bool) -> None:
    """Print what a field declares, with its type, default, an example and the fields in it.

    Args:
        path: the field's path, such as `team.harbor.storage_quota`; the files if it is None.
        as_json: print JSON.

    Raises:
        DeclarationError: there is no such field.
    """
    files = ("platform", "team")
    found = [(name, file(name)) for name in files] if path is None else [find(path)]
    if as_json:
        documents = [_document(name, field) for name, field in found]
        give(json_text(documents if path is None else documents[0]))
        return
    for number, (name, field) in enumerate(found):
        if number:
            say("")
        _print(name, field, is_whole=path is not None)


def _document(name: str, field: Field) -> dict[str, Any]:
    return {
        "field": _full(name, field),
        "type": field.type,
        "required": field.is_required,
        "default": field.default or None,
        "description": field.description,
        "example": field.example if field.path else None,
        "fields": [_full(name, each) for each in field.below],
    }


def _full(name: str, field: Field) -> str:
    return f"{name}.{field.path}" if field.path else name


def _print(name: str, field: Field, *, is_whole: bool) -> None:
    default = "required" if field.is_required else field.default or "none"
    say(f"{_full(name, field)}: {field.type.replace('`', '')}")
    say(f"  {field.description}")
    if field.path and is_whole:
        say(f"  Default: {default}")
        say("  Example:")
        say("".join(f"    {line}\n" for line in _yaml(field).splitlines()).rstrip("\n"))
    if field.below:
        say("  Fields:")
        width = max(len(each.key) for each in field.below)
        for each in field.below:
            required = " (required)" if each.is_required else ""
            say(f"    {each.key:{width}}  {each.description}{required}")


def _yaml(field: Field) -> str:
    """Return an example at its place in the file."""
    value: Any = field.example
    for step in reversed(field.path.split(".")):
        key = step.rstrip("[]")
        for _ in range(step.count("[]")):
            value = [value]
        value = {"web" if key == "<name>" else key: value}
    written = StringIO()
    yaml = YAML(pure=True)
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 10_000
    yaml.dump(value, written)
    return written.getvalue()
