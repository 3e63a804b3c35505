"""Writes the file of a team."""

import os
import tempfile
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tenantry.declared import files
from tenantry.declared.merge import Data
from tenantry.declared.parsing import FaultyText
from tenantry.declared.reading import check_alone, read
from tenantry.declared.state import Declaration
from tenantry.declared.team import Team, TeamSettings


def declare(folder: Path, team: Team, dry_run: bool = False) -> Declaration:
    """Checks a team beside all others of a folder, and writes its file unless told not to.

    Returns:
        The declared state with the team; its origin is the team's file.

    Raises:
        DeclarationError: with every fault; nothing was written.
    """
    declaration = check_alone(read(folder), team)
    if dry_run:
        return declaration
    return replace(declaration, origin=str(save_team(folder, team)))


def as_declared(team: Team) -> Data:
    """What the team's file says: what was given, who the team is before what it gets."""
    given = team.model_dump(mode="json", exclude_unset=True)
    return dict(sorted(given.items(), key=lambda item: item[0] in TeamSettings.model_fields))


def find_team(folder: Path, name: str) -> tuple[Path, Any]:
    """The file that declares a team and what it says, or the file that would, and None."""
    for candidate in files.team_files(folder):
        content = _content(candidate)
        if isinstance(content, dict) and content.get("name") == name:
            return candidate, content
    return folder / "teams" / f"{name}.yaml", None


def save_team(folder: Path, team: Team) -> Path:
    """Writes a team's file, unless it says the same already; its first comment lines stay.

    The write is atomic: a reader sees the old file or the new one.

    Returns:
        The file: the one that already declares the team, or `teams/<name>.yaml`.
    """
    wanted = as_declared(team)
    path, content = find_team(folder, team.name)
    if content == wanted:
        return path
    head = ""
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        head = "".join(lines[: next((i for i, x in enumerate(lines) if x[:1] != "#"), None)])
    body = StringIO()
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(wanted, body)
    path.parent.mkdir(exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".team-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(head + body.getvalue())
    Path(temporary).chmod(0o644)
    Path(temporary).replace(path)
    return path


def _content(path: Path) -> Any:
    """A file's content; None where it can't be read: `load` says what is wrong with it."""
    try:
        return files.read(path).data
    except FaultyText:
        return None
