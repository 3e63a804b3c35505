"""How a Harbor project is known for Tenantry's.

A project has no place for a mark, so its namespace says whether we created or adopted
it. Its robots do have one, their description: it tells the same, should the namespace
be deleted while the project stays.
"""

from collections.abc import Iterable
from typing import Literal

from tenantry.systems.harbor.client import Row

ProjectMark = Literal["created", "adopted"]

_DESCRIPTIONS: dict[ProjectMark, str] = {
    "created": "Managed by Tenantry",
    "adopted": "Managed by Tenantry in an adopted project",
}


def description(mark: ProjectMark) -> str:
    """What stands in the description of a robot of ours."""
    return _DESCRIPTIONS[mark]


def mark_of(robots: Iterable[Row]) -> ProjectMark | None:
    """What a project's robots say of it; None if none is ours."""
    found = {robot.get("description") for robot in robots}
    return next((mark for mark, text in _DESCRIPTIONS.items() if text in found), None)
