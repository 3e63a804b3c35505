"""What can be read of a faulty team file: the name of the team, and what the team claims."""

import re
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tenantry.declared.merge import Data
from tenantry.declared.team import Team
from tenantry.declared.types import TeamName

_NAMES: TypeAdapter[str] = TypeAdapter(TeamName)
_LINE = re.compile(r"^name: *[\"']?([a-z0-9-]{1,63})[\"']? *(#.*)?$", re.MULTILINE)
_TRIES = 50
"""How many faulty fields are left out one after another before only the name is kept."""


def name_in(path: Path) -> str | None:
    """Return the name of the team that a file is named after; None if that is not a name."""
    return _name(path.stem)


def said_in(path: Path) -> str | None:
    """Return the name that the text of a file gives, where the text is not YAML."""
    try:
        found = _LINE.search(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
    return _name(found[1]) if found else None


def _name(text: Any) -> str | None:
    try:
        return _NAMES.validate_python(text)
    except ValidationError:
        return None


def readable_part(data: Data, name: str | None) -> Team | None:
    """Return a team without the fields that are faulty; None if it has no name.

    Args:
        data: the content of its file.
        name: the name that it has if it gives none that can be one.
    """
    name = _name(data.get("name")) or name
    if name is None:
        return None
    part = {**data, "name": name}
    for _ in range(_TRIES):
        try:
            return Team.model_validate(part)
        except ValidationError as error:
            for detail in error.errors(include_url=False, include_context=False):
                _leave_out(part, detail["loc"])
    return Team(name=name)


def _leave_out(data: Any, place: tuple[str | int, ...]) -> None:
    """Takes a field out of plain data, or what it lies in, where it is missing itself."""
    above: list[tuple[Any, Any]] = []
    node: Any = data
    for step in place:
        if (isinstance(node, dict) and step in node) or (
            isinstance(node, list) and isinstance(step, int) and step < len(node)
        ):
            above.append((node, step))
            node = above[-1][0][step]
    if above:
        holder, step = above[-1]
        del holder[step]
