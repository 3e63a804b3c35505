"""What the policy is read from, the teams that are evaluated by it, and what it finds."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from tenantry.declared.faults import Document, Place
from tenantry.declared.platform import Platform
from tenantry.declared.team import Team

NAME: Place = ("name",)
"""The field of a team file with the team's name. If it is refused, no other field counts."""


class Violation(NamedTuple):
    """Something that a team declares and the policy does not allow it."""

    place: Place
    """The field in the team's file."""
    text: str
    """The fault, with the policy's line and the grant that would allow it."""
    allows: Mapping[str, Any]
    """The limits of that grant; empty if it is the use of a profile."""
    profile: str | None = None
    """The profile that the team may not use."""


class PolicySource(NamedTuple):
    """The policy at the head of a branch, by which older commits are evaluated, too."""

    platform: Platform
    document: Document
    """The file `platform.yaml`, with a name that tells the commit."""


class EvaluatedTeam(NamedTuple):
    """A team that is evaluated together with all others."""

    team: Team
    """With all defaults."""
    file: str | None
    """The name of its file in `teams/`; None for a call of the API."""
    refused: frozenset[Place]
    """The fields that the policy does not allow to it by itself."""

    def refuses(self, place: Place) -> bool:
        """Return whether a field does not count against other teams."""
        return is_refused(place, self.refused)


def is_refused(place: Place, refused: Collection[Place]) -> bool:
    """Return whether the policy does not allow a field, or not the name of its team."""
    return place in refused or NAME in refused


def file_name(path: str) -> str:
    """Return the name of a file in `teams/`."""
    return path.rpartition("/")[2]
