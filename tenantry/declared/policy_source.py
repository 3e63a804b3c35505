"""Data types of the policy check: the policy's source, the checked teams, and the violations."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from tenantry.declared.faults import Document, Place
from tenantry.declared.platform import Platform
from tenantry.declared.team import Team

NAME: Place = ("name",)
"""The field with the team's name. If the policy refuses it, no other field of the file counts."""


class Violation(NamedTuple):
    """A declaration of a team that the policy does not allow."""

    place: Place
    """The field in the team file."""
    text: str
    """The message, with the policy's line and the grant that would allow the value."""
    allows: Mapping[str, Any]
    """The limits of that grant; empty if the violation is the use of a profile."""
    profile: str | None = None
    """The profile that the team may not use."""


class PolicySource(NamedTuple):
    """The policy at the head of a branch, which also applies to older commits."""

    platform: Platform
    document: Document
    """The file `platform.yaml`, with the commit in its name."""


class EvaluatedTeam(NamedTuple):
    """A team in the check of all teams together."""

    team: Team
    """The team with all defaults."""
    file: str | None
    """The name of its file in `teams/`; None for an API call."""
    refused: frozenset[Place]
    """The fields that the policy refused in the check of the single team."""

    def refuses(self, place: Place) -> bool:
        """Return whether a field is refused, and therefore has no effect on other teams."""
        return is_refused(place, self.refused)


def is_refused(place: Place, refused: Collection[Place]) -> bool:
    """Return whether the policy refuses a field, or the team's name."""
    return place in refused or NAME in refused


def file_name(path: str) -> str:
    """Return the name of a file in `teams/`."""
    return path.rpartition("/")[2]
