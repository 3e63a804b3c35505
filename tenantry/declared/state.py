"""The declared state after reading: the platform, its teams, and the files with faults."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from tenantry.declared.archive import Archived
from tenantry.declared.faults import Document, Place
from tenantry.declared.merge import complete
from tenantry.declared.names import NamePatterns
from tenantry.declared.platform import Platform
from tenantry.declared.policy_check import PolicyEvaluator
from tenantry.declared.team import Team
from tenantry.errors import DeclarationError


class Location(NamedTuple):
    """A line of the declared state."""

    file: str
    """The file, relative to the declared state's folder."""
    line: int


def location_of(fault: str) -> Location:
    """Return the file and line that a fault names, or line 0 if it names no line."""
    file, _, rest = fault.partition(":")
    line = rest.partition(":")[0]
    return Location(file, int(line) if line.isdigit() else 0)


@dataclass(frozen=True)
class Documents:
    """The files of the declared state, used to find the line that declares a field."""

    platform: Document
    teams: Mapping[str, Document]
    """The team files by team name."""

    def layer(
        self, document: Document, place: Place, profile: str | None
    ) -> tuple[Document, Place]:
        """Return the file that a team's field gets its value from, and the field's place in it.

        The team file comes first, then the profile, then the platform's defaults.
        """
        if not document.has(place):
            for layer in (("profiles", profile), ("defaults",)):
                if self.platform.has((*layer, *place)):
                    return self.platform, (*layer, *place)
        return document, place


@dataclass(frozen=True)
class Contested:
    """A claim that another team also makes, and that no naming convention decides."""

    kind: str
    """The kind of the claimed thing, as in messages: `the host`."""
    name: str
    fault: str
    """The message for the user, in the form `file:line: field: …`."""


@dataclass(frozen=True)
class LeftOut:
    """A team file whose faults exclude its team from every run.

    The team still counts as declared. It keeps its name and its claims, and runs do not change its
    resources. Only the rotation of its credentials continues.
    """

    file: str
    """The file, relative to the declared state's folder."""
    definite: tuple[str, ...]
    """The faults that only the author can correct, each in the form `file:line: field: …`."""
    contested: tuple[Contested, ...]
    """Conflicts that the live systems may decide: the current owner keeps the resource."""
    names: tuple[str, ...]
    """The team names that the file may declare: the one it gives, and the one in its file name."""
    team: Team | None = None
    """The readable part of the team, with all defaults; None if not even the name is readable."""
    document: Document = field(default_factory=lambda: Document("", {}), repr=False)
    """The file's content; empty if it cannot be read."""
    is_whole: bool = False
    """Whether `team` holds everything that the file declares."""
    gives_name: bool = True
    """Whether the file itself gives its team's name. If not, it may be the file of any team."""
    refused: frozenset[Place] = frozenset()
    """The fields that the policy does not allow. Their claims do not exclude other teams."""
    is_offboarding: bool = False
    """Whether the file has the record of an offboarding. Then its credentials are not rotated."""

    @property
    def label(self) -> str:
        """The team's name, or the file's name if the team is unknown."""
        return self.names[0] if self.names else self.file

    @property
    def faults(self) -> tuple[str, ...]:
        """All faults, sorted by line."""
        found = [*self.definite, *(each.fault for each in self.contested)]
        return tuple(sorted(found, key=location_of))

    @property
    def location(self) -> Location:
        """The line of the first fault in the file."""
        own = [where for fault in self.faults if (where := location_of(fault)).file == self.file]
        return own[0] if own else Location(self.file, 1)


_NOT_IN_TEAM_PLANS: Any = {
    "name": True,
    "adopt": True,
    "drift": True,
    "rotation": True,
    "offboarding": True,
    "defaults": True,
    "profiles": True,
    "policy": True,
    "harbor": {"single_sign_on", "configuration"},
    "mesh": {"gateways", "harbor"},
    "keycloak": {
        "realm_settings": True,
        "groups": True,
        "external_providers": {"__all__": {"connection"}},
    },
}
"""Fields of the platform that no team's plan depends on, except through the team itself."""


@dataclass(frozen=True)
class Declaration:
    """The platform and its teams, each team with all defaults filled in."""

    platform: Platform
    teams: dict[str, Team]
    """The teams by name, sorted by name, without the teams that are left out or being
    offboarded."""
    origin: str = field(default="", compare=False)
    """The folder or commit that the declared state was read from or written to, for messages."""
    base: str = field(default="", compare=False)
    """The folder's path within its repository; empty for the root or outside of a repository."""
    documents: Documents | None = field(default=None, compare=False, repr=False)
    """The files that the declared state was read from."""
    left_out: tuple[LeftOut, ...] = field(default=(), compare=False)
    """The files with faults, sorted by name."""
    other_faults: tuple[str, ...] = field(default=(), compare=False)
    """Faults between the platform and its teams that exclude no team."""
    warnings: tuple[str, ...] = field(default=(), compare=False)
    """Values that a later release will reject, sorted by file and line."""
    evaluator: PolicyEvaluator | None = field(default=None, compare=False, repr=False)
    """The evaluator of the policy that the teams were checked against."""
    offboarding: dict[str, Team] = field(default_factory=dict)
    """The teams that are being offboarded, by name, sorted by name. They keep their names and
    claims, and only the flows that offboard teams change them."""
    archive: tuple[Archived, ...] = field(default=(), compare=False, repr=False)
    """The files of removed teams."""

    @property
    def faults(self) -> list[str]:
        """All faults, sorted by file and line."""
        found = [fault for each in self.left_out for fault in each.faults]
        return sorted([*found, *self.other_faults], key=location_of)

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of all declared teams, including those left out or being offboarded."""
        left_out = (each.names for each in self.left_out)
        return frozenset(self.teams).union(self.offboarding, *left_out)

    @property
    def knows_all_names(self) -> bool:
        """Whether each file gives its team's name. If not, further teams may be declared."""
        return all(each.gives_name for each in self.left_out)

    @property
    def patterns(self) -> NamePatterns:
        """The platform's patterns of the names of the teams' objects."""
        return self.platform.names

    @cached_property
    def _readable(self) -> Mapping[str, Team]:
        """The readable parts of all declared teams, including those left out or being offboarded."""
        left_out = {each.team.name: each.team for each in self.left_out if each.team}
        return {**left_out, **self.offboarding, **self.teams}

    def named(self, name: str) -> Team:
        """Return the team of this name, as far as it can be read.

        If no file can be read, or the team is not declared, return a team with the platform's
        defaults, whose names follow the platform's patterns.
        """
        return self._readable.get(name) or complete(self.platform, Team(name=name))

    @cached_property
    def project_owners(self) -> Mapping[str, str]:
        """The Harbor projects of all declared teams, with the team's name."""
        return {self.named(name).project: name for name in sorted(self.names)}

    @cached_property
    def _left_out_locations(self) -> dict[str | None, Location]:
        """The location of the first fault of each left-out team, by the team's name."""
        found: dict[str | None, Location] = {}
        for each in self.left_out:
            found.update({name: each.location for name in each.names if name not in found})
        return found

    def locate(self, team: str | None, place: Place) -> Location:
        """Return the location that declares a field: the team file, a profile or the defaults.

        If no file declares the field, return the line of the closest enclosing field. Without a
        team, or for a team that is not declared, the location is in `platform.yaml`. For a
        left-out team it is the line of its file's first fault.
        """
        if team in self._left_out_locations and team not in self.teams:
            return self._left_out_locations[team]
        if self.documents is None:
            return Location("platform.yaml", 1)
        document = self.documents.teams.get(team or "")
        if document is None:
            document = self.documents.platform
        elif place:
            known = self.teams.get(team or "") or self.offboarding[team or ""]
            profile = known.profile
            document, place = self.documents.layer(document, place, profile)
            if not document.has(place[:1]):
                place = ("name",)
        return Location(document.name, document.line(place))

    def fault(self, team: str, place: Place, text: str) -> str:
        """Return a fault at a field of a team file, in the form `file:line: field: …`."""
        document = self.documents.teams.get(team) if self.documents else None
        return (document or Document(f"team {team}", {})).fault(place, text)

    def pick(self, names: Iterable[str] | None) -> list[Team]:
        """Return the named teams, or all teams if `names` is None.

        Teams that are left out or being offboarded are not in the result.

        Raises:
            DeclarationError: a name is not the name of a declared team.
        """
        if names is None:
            return list(self.teams.values())
        names = list(dict.fromkeys(names))
        unknown = [name for name in names if name not in self.names]
        if unknown:
            known = ", ".join(sorted(self.names)) or "none"
            raise DeclarationError(
                [f"team '{name}' is not declared; declared: {known}" for name in unknown]
            )
        return [self.teams[name] for name in names if name in self.teams]

    def skipped(self, names: Iterable[str] | None) -> list[str]:
        """Return a sentence for each team that a run skips because it is being offboarded.

        Args:
            names: the teams of the run; all teams if None.
        """
        asked = None if names is None else set(names)
        found = []
        for name, team in self.offboarding.items():
            if team.offboarding is not None and (asked is None or name in asked):
                since = team.offboarding.since.date()
                found.append(f"Skipped: team '{name}' is being offboarded since {since}.")
        for each in self.left_out:
            if each.is_offboarding and (asked is None or asked & set(each.names)):
                found.append(
                    f"Skipped: team '{each.label}' is being offboarded, and {each.file} is faulty."
                )
        return found

    def faults_of(self, names: Iterable[str] | None) -> list[str]:
        """Return the faults that concern a run for the named teams, or for all teams."""
        if names is None:
            return self.faults
        asked = set(names)
        found = [each for each in self.left_out if asked & set(each.names)]
        return [fault for each in found for fault in each.faults]

    def fingerprint(self, team: Team) -> str:
        """Return a hash of the declaration of a team, including the platform's part of it.

        It changes whenever the declared state could lead to a different plan.
        """
        own = team.model_dump(mode="json", exclude={"drift", "offboarding"})
        content = f"[{json.dumps(own, sort_keys=True)}, {self._in_team_plans}]"
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    @cached_property
    def _in_team_plans(self) -> str:
        """The platform's part of each fingerprint, which is the same for all teams."""
        shared = self.platform.model_dump(mode="json", exclude=_NOT_IN_TEAM_PLANS)
        return json.dumps(shared, sort_keys=True)
