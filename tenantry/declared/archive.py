"""The archive of the declared state: the files of removed teams, in `archive/`.

A file in the archive declares no team. It records what the removal kept: a new team must not get the
images of a removed team because it has the same name.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from tenantry.declared import files
from tenantry.declared.offboarding import KEY, Offboarding
from tenantry.declared.team import Team
from tenantry.declared.yaml_nodes import FaultyText

FOLDER = "archive"
"""The folder of the archive, beside `teams`."""

_PROJECT = "harbor/project/"
_NAME = re.compile(r"([a-z0-9-]+)\.(\d{4}-\d\d-\d\d)(\.[0-9]+)?")


@dataclass(frozen=True)
class Archived:
    """A file in the archive."""

    name: str
    """The removed team's name."""
    file: str
    """The file, relative to the declared state's folder."""
    projects: frozenset[str] = frozenset()
    """The names of the Harbor projects that the removal kept."""
    record: Offboarding | None = None
    """The record of the offboarding; None if it cannot be read."""
    fault: str = ""
    """Why the kept resources are unknown; empty if they are known."""
    content: Any = field(default=None, repr=False, compare=False)
    """The file's content."""


def archive_files(folder: Path) -> list[Path]:
    """Return the files of the archive, sorted by name."""
    try:
        entries = sorted((folder / FOLDER).iterdir())
    except OSError:
        return []
    return [path for path in entries if files.is_team_file(path.name)]


def read_archive(folder: Path) -> tuple[Archived, ...]:
    """Return the files of the archive. A file that cannot be read has a fault."""
    return tuple(_read(folder, path) for path in archive_files(folder))


def _read(folder: Path, path: Path) -> Archived:
    file = path.relative_to(folder).as_posix()
    found = _NAME.fullmatch(path.stem)
    name = found[1] if found else path.stem
    try:
        content = files.read(path).data
    except FaultyText as fault:
        return Archived(name, file, fault=f"{file}:{fault.line}: {fault.text}")
    record = content.get(KEY) if isinstance(content, Mapping) else None
    kept = record.get("kept") or {} if isinstance(record, Mapping) else None
    if not isinstance(content, Mapping) or not isinstance(kept, Mapping):
        text = f"{file}:1: must have the record '{KEY}', with what the removal kept"
        return Archived(name, file, fault=text)
    try:
        parsed = Offboarding.model_validate(record)
    except ValueError:
        parsed = None
    projects = (str(key).removeprefix(_PROJECT) for key in kept if str(key).startswith(_PROJECT))
    return Archived(
        str(content.get("name", name)), file, frozenset(projects), parsed, content=content
    )


def refusal(archive: Iterable[Archived], team: Team) -> str:
    """Return why the archive does not allow a new team; empty if it does."""
    for each in archive:
        if each.fault and each.name == team.name:
            return (
                f"a team '{team.name}' was removed, and {each.file} cannot be read ({each.fault}), "
                "so the images that were kept are not known. Correct that file"
            )
        if team.project in each.projects:
            return (
                f"the Harbor project '{team.project}' still holds the images of the removed team "
                f"'{each.name}' ({each.file}). Choose another name; or run offboard-team for "
                f"'{each.name}' with 'delete_images', which has the project and its images deleted; or, to continue the removed team, move "
                f"that file to teams/{each.name}.yaml and remove '{KEY}' from it"
            )
    return ""


def new_file(folder: Path, name: str, removed: date, since: datetime) -> Path:
    """Return the path for the file of a removed team.

    It is the path of an existing file if that file records the same offboarding: an earlier run may
    have been interrupted after it had written the file, or may have kept the project that was deleted now.
    """
    for each in read_archive(folder):
        if each.name == name and each.record is not None and each.record.since == since:
            return folder / each.file
    stem = f"{name}.{removed.isoformat()}"
    number = 1
    while True:
        path = folder / FOLDER / (f"{stem}.yaml" if number == 1 else f"{stem}.{number}.yaml")
        if not path.exists():
            return path
        number += 1
