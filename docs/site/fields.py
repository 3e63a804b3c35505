"""Generates the reference of the fields of the declared state."""

from collections.abc import Iterable, Iterator

from tenantry.declared.fields import Field, file

_TEAM = ("defaults", "profiles")
"""The fields of `platform.yaml` that have those of a team: they are listed for the team only."""
_OF_TEAM = " It has the fields of a team file."


def tables(name: str) -> Iterator[str]:
    """Return the fields of `platform` or `team`: a table of its own values, and one for each section."""
    fields = file(name).below
    sections = [field for field in fields if field.below and field.path not in _TEAM]
    yield from _table(field for field in fields if field not in sections)
    for field in sections:
        yield from ("", f"### `{field.path}`", "", _escaped(field.description), "")
        yield from _table(field.walk())


def _table(fields: Iterable[Field]) -> Iterator[str]:
    yield "| field | type | default | |"
    yield "|---|---|---|---|"
    for field in fields:
        default = f"`{field.default}`".replace("|", r"\|") if field.default else ""
        cells = (
            f"`{field.path}`",
            field.type,
            "required" if field.is_required else default,
            _escaped(field.description) + _OF_TEAM * (field.path in _TEAM),
        )
        yield f"| {' | '.join(cells)} |".replace("|  |", "| |")


def _escaped(text: str) -> str:
    parts = text.replace("|", r"\|").split("`")
    parts[::2] = (part.replace("<", "&lt;") for part in parts[::2])  # outside of code
    return "`".join(parts)
