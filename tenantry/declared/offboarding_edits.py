"""The changes of the declared state when a team is offboarded: record, approve, archive."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import Any

from tenantry.declared import archive
from tenantry.declared.edit import Edit
from tenantry.declared.offboarding import KEY, Offboarding
from tenantry.declared.rewriting import round_trip
from tenantry.declared.saving import find_team
from tenantry.declared.writing import locked, write
from tenantry.errors import TenantryError


def record(name: str, offboarding: Offboarding) -> Edit:
    """Return the edit that records the offboarding of a team.

    If the team is being offboarded already, its `since`, `by` and `approved` are kept.
    """
    given = offboarding.model_dump(mode="json", exclude_defaults=True)
    given["delete_images"] = offboarding.delete_images  # also if false: a reader expects it

    def change(file: str, document: Any) -> None:
        if _declares(file, document, name):
            known = document.get(KEY)
            kept = ("since", "by", "approved") if isinstance(known, Mapping) else ()
            document[KEY] = {**given, **{key: known[key] for key in kept if key in known}}

    return change


def approve(approved: Mapping[str, str]) -> Edit:
    """Return the edit that records the approvals of removal plans, by the teams' names."""

    def change(file: str, document: Any) -> None:
        for name, approval in approved.items():
            if _declares(file, document, name) and isinstance(document.get(KEY), Mapping):
                document[KEY]["approved"] = approval

    return change


def _declares(file: str, document: Any, name: str) -> bool:
    if file == "platform.yaml" or not isinstance(document, Mapping):
        return False
    return bool(document.get("name", PurePosixPath(file).stem) == name)


@dataclass(frozen=True)
class Moved:
    """The files that moving a team to the archive changes, relative to the folder."""

    written: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()


def archive_team(
    folder: Path,
    name: str,
    record: Offboarding,
    removed: datetime,
    kept: Mapping[str, str],
    projects: Mapping[str, int],
) -> Moved:
    """Move the file of a removed team to the archive, with what was kept.

    The file in the archive is written first, so that an interrupted move loses nothing. A second call
    completes it.

    Args:
        folder: the declared state.
        name: the team's name.
        record: the record of its offboarding, as the run has read it.
        removed: the time of the removal.
        kept: the kept resources, with the reasons.
        projects: the numbers of the projects that were kept because of their images, by name.

    Returns:
        The changed files; none if no file declares the team any more.

    Raises:
        TenantryError: the team's file has changed meanwhile, or cannot be written.
    """
    with locked(folder):
        path, content = find_team(folder, name)
        if content is None:
            return Moved()
        check_record(name, content, record)
        target = archive.new_file(folder, name, removed.date(), record.since)
        yaml = round_trip()
        document = yaml.load(path.read_text(encoding="utf-8-sig"))
        document[KEY]["removed"] = removed.isoformat(timespec="seconds")
        for key, found in (("kept", kept), ("kept_projects", projects)):
            document[KEY].pop(key, None)
            if found:
                document[KEY][key] = dict(found)
        body = StringIO()
        yaml.dump(document, body)
        write({target: body.getvalue()})
        try:
            path.unlink()
        except OSError as error:
            text = f"{path} was copied to {target} and cannot be deleted: {error.strerror}"
            raise TenantryError(f"{text}. Run it again, or delete the file.") from None
        written, deleted = (each.relative_to(folder).as_posix() for each in (target, path))
        return Moved((written,), (deleted,))


def check_record(name: str, content: Any, record: Offboarding) -> None:
    """Check that a team file still has the record of an offboarding.

    Raises:
        TenantryError: it does not.
    """
    found = content.get(KEY) if isinstance(content, Mapping) else None
    try:
        same = Offboarding.model_validate(found).since == record.since
    except ValueError:
        same = False
    if not same:
        raise TenantryError(
            f"The record of the offboarding of team '{name}' was changed in its file after this run "
            "had read it. The file was not moved to the archive."
        )
