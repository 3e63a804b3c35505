"""Finds the teams that were offboarded after a run had read the declared state."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tenantry.declared import files
from tenantry.declared.archive import archive_files
from tenantry.declared.offboarding import is_recorded, may_have_record
from tenantry.declared.saving import find_team
from tenantry.declared.yaml_nodes import FaultyText


def find_ended(folder: Path, names: Collection[str]) -> list[str]:
    """Return those of these teams that are being offboarded, or were removed, by now.

    Only the files that can have a record are parsed, since a run calls this under each lock.

    Args:
        folder: the declared state.
        names: the teams.
    """
    recorded: set[str] = set()
    for path in files.team_files(folder):
        if may_have_record(path):
            content = _content(path)
            if is_recorded(content, path):
                said = content.get("name") if isinstance(content, Mapping) else None
                recorded |= {str(said or path.stem)}
    removed = {each.stem.partition(".")[0] for each in archive_files(folder)}
    gone = {name for name in removed & set(names) if find_team(folder, name)[1] is None}
    return sorted((recorded | gone) & set(names))


def _content(path: Path) -> Any:
    try:
        return files.read(path).data
    except FaultyText:
        return None
