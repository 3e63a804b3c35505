"""The record of a team that is being offboarded: the field `offboarding` of its team file.

A team with this record is declared, but no run onboards, compares or rotates it. Its names stay
claimed until the team is removed and its file is in `archive/`.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StrictBool

from tenantry.declared.types import WHOLE, Model, fits

KEY = "offboarding"
"""The key of the record in a team file."""

_IN_TEXT = re.compile(rf"^[\"']?{KEY}[\"']?\s*:", re.MULTILINE)


def _with_zone(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value


Time = Annotated[datetime, AfterValidator(_with_zone)]
"""A time. Without a time zone it is in UTC."""

Approval = Annotated[
    str, *fits(r"[0-9a-z][0-9a-z-]{7,}", "the approval of a removal plan, as its run writes it")
]


class Offboarding(Model):
    """The record of a team that is being offboarded.

    `offboard-team` writes it before it revokes the team's access. While it is in the file, no other
    flow changes the team.
    """

    since: Time
    """The time at which the team was offboarded."""
    by: Annotated[str, Field(min_length=1, max_length=200)]
    """The user, or the run, that offboarded the team."""
    remove_after: date
    """The day (UTC) on which the grace period ends. Until then `onboard-team` restores the team; from
    then on `remove-offboarded-teams` removes it."""
    delete_images: StrictBool = False
    """Whether the removal deletes the images in the Harbor project. If false, a project with images
    is kept."""
    approved: Approval | None = None
    """The removal plan that a person has approved, by its hash, such as `3f9c2e51a7b0`. Only this plan, or the rest of it, is applied
    without another approval."""
    remove_adopted: StrictBool = False
    """Whether the removal deletes the resources that existed before Tenantry and were adopted."""
    removed: Time | None = None
    """The time at which the team was removed. It is set in an archived file only."""
    kept: dict[str, str] = {}
    """The resources that the removal kept, each with the reason. It is set in an archived file
    only."""
    kept_projects: dict[str, int] = {}
    """The numbers of the Harbor projects that Tenantry created and that the removal kept because of their
    images. `offboard-team` needs them to delete such a project later: nothing else shows any more that it
    was the team's."""

    def is_over(self, today: date) -> bool:
        """Return whether the grace period is over."""
        return today >= self.remove_after


class PlatformOffboarding(Model):
    """The settings of offboarding that all teams share."""

    max_teams_percent: Annotated[int, Field(ge=0, le=100), WHOLE] = 10
    """The largest share of the teams, in percent, that one run removes, or that may have vanished from
    the declared state, without another approval. One team is always allowed, unless this is 0."""

    def max_teams(self, known: int) -> int:
        """Return the largest number of teams without another approval.

        Args:
            known: the number of teams that the declared state and the systems know.
        """
        share = known * self.max_teams_percent // 100
        return max(share, 1) if self.max_teams_percent else 0


def may_have_record(path: Path) -> bool:
    """Return whether a file's text can have a record, without parsing it, which is slow."""
    try:
        text = path.read_bytes()
    except OSError:
        return False
    return KEY.encode() in text or b"\\" in text


def is_recorded(data: Any, path: Path | None = None) -> bool:
    """Return whether a team file has the record of an offboarding, even if the record is faulty.

    Args:
        data: the file's content; empty if the file cannot be read.
        path: the file, to search its text if it cannot be read.
    """
    if isinstance(data, Mapping) and data:
        return KEY in data
    if path is None:
        return False
    try:
        return bool(_IN_TEXT.search(path.read_text(encoding="utf-8", errors="replace")))
    except OSError:
        return False
