"""The declared state as it was read: the platform, its teams, and the files with faults."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from tenantry.declared.faults import Document, Place
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
    """Return the file and line that a fault names; line 0 if it names none."""
    file, _, rest = fault.partition(":")
    line = rest.partition(":")[0]
    return Location(file, int(line) if line.isdigit() else 0)


@dataclass(frozen=True)
class Documents:
    """The files as they were read, to tell where something is declared."""

    platform: Document
    teams: Mapping[str, Document]
    """By team."""

    def layer(
        self, document: Document, place: Place, profile: str | None
    ) -> tuple[Document, Place]:
        """The file that a team's field has its value from, and the field's place in it."""
        if not document.has(place):
            for layer in (("profiles", profile), ("defaults",)):
                if self.platform.has((*layer, *place)):
                    return self.platform, (*layer, *place)
        return document, place


@dataclass(frozen=True)
class Contested:
    """A claim of a team's that another team makes as well, and that no convention decides."""

    kind: str
    """Its kind, as in messages: `the host`."""
    name: str
    fault: str
    """What a user reads of it, as `file:line: field: …`."""


@dataclass(frozen=True)
class LeftOut:
    """A team's file whose faults keep its team out of every run.

    The team counts as declared: its name and what it claims stay its own, and nothing of it in
    the systems is changed, but for the rotation of its credentials.
    """

    file: str
    """The file, relative to the declared state's folder."""
    definite: tuple[str, ...]
    """The faults that only the author can correct, each as `file:line: field: …`."""
    contested: tuple[Contested, ...]
    """Conflicts that the systems may decide: the present holder keeps the thing."""
    names: tuple[str, ...]
    """The names of teams that the file may declare: the one that it gives, or its own name."""
    team: Team | None = None
    """The team with all defaults, as far as the file can be read; None if not even its name can."""
    document: Document = field(default_factory=lambda: Document("", {}), repr=False)
    """The file's content; empty if it cannot be read."""
    is_whole: bool = False
    """Whether `team` is all that the file declares."""
    gives_name: bool = True
    """Whether the file itself gives the name of its team; else it may be the file of any team."""
    refused: frozenset[Place] = frozenset()
    """The fields that the policy does not allow; what they claim keeps no other team out."""

    @property
    def label(self) -> str:
        """The name of its team; the file, where it may be of none."""
        return self.names[0] if self.names else self.file

    @property
    def faults(self) -> tuple[str, ...]:
        """All faults, in the order of their lines."""
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
"""What of the platform no team's plan depends on, but through the team itself."""


@dataclass(frozen=True)
class Declaration:
    """The platform and its teams, each team with all defaults filled in."""

    platform: Platform
    teams: dict[str, Team]
    """By name, in the order of their names; without the teams that are left out."""
    origin: str = field(default="", compare=False)
    """Where it was read, or written to, as a person is told: a folder, or a commit."""
    base: str = field(default="", compare=False)
    """Its folder as seen from the root of its repository; empty if it is that, or in none."""
    documents: Documents | None = field(default=None, compare=False, repr=False)
    """The files that it was read from."""
    left_out: tuple[LeftOut, ...] = field(default=(), compare=False)
    """The files with faults, in the order of their names."""
    other_faults: tuple[str, ...] = field(default=(), compare=False)
    """Faults between the platform and its teams that keep no team out."""
    warnings: tuple[str, ...] = field(default=(), compare=False)
    """Values that a later release will refuse, in the order of files and lines."""
    evaluator: PolicyEvaluator | None = field(default=None, compare=False, repr=False)
    """The policy that the teams were evaluated by."""

    @property
    def faults(self) -> list[str]:
        """All faults, in the order of files and lines."""
        found = [fault for each in self.left_out for fault in each.faults]
        return sorted([*found, *self.other_faults], key=location_of)

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of all declared teams, also of those that are left out."""
        return frozenset(self.teams).union(*(each.names for each in self.left_out))

    @property
    def knows_all_names(self) -> bool:
        """Whether each file gives its team's name; else a team that none names may be declared."""
        return all(each.gives_name for each in self.left_out)

    @cached_property
    def _left_out_locations(self) -> dict[str | None, Location]:
        """The first fault of each team that is left out, by the team's name."""
        found: dict[str | None, Location] = {}
        for each in self.left_out:
            found.update({name: each.location for name in each.names if name not in found})
        return found

    def locate(self, team: str | None, place: Place) -> Location:
        """Where a field is declared: in the team's file, or where the team has it from.

        If it is declared nowhere, it is the line of what it would stand in. Without a team, or
        of one that is not declared, it is in `platform.yaml`. For a team that is left out it is
        the line of its file's first fault.
        """
        if team in self._left_out_locations and team not in self.teams:
            return self._left_out_locations[team]
        if self.documents is None:
            return Location("platform.yaml", 1)
        document = self.documents.teams.get(team or "")
        if document is None:
            document = self.documents.platform
        elif place:
            profile = self.teams[team or ""].profile
            document, place = self.documents.layer(document, place, profile)
            if not document.has(place[:1]):
                place = ("name",)
        return Location(document.name, document.line(place))

    def fault(self, team: str, place: Place, text: str) -> str:
        """Return a fault at a field of a team's file, as `file:line: field: …`."""
        document = self.documents.teams.get(team) if self.documents else None
        return (document or Document(f"team {team}", {})).fault(place, text)

    def pick(self, names: Iterable[str] | None) -> list[Team]:
        """Return the teams of these names, or all; those that are left out are not among them.

        Raises:
            DeclarationError: a name that no team has.
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

    def faults_of(self, names: Iterable[str] | None) -> list[str]:
        """Return the faults that concern a run for these teams, or for all."""
        if names is None:
            return self.faults
        asked = set(names)
        found = [each for each in self.left_out if asked & set(each.names)]
        return [fault for each in found for fault in each.faults]

    def fingerprint(self, team: Team) -> str:
        """A hash of what is declared for a team, platform included.

        It changes whenever another plan could follow from the declared state.
        """
        shared = self.platform.model_dump(mode="json", exclude=_NOT_IN_TEAM_PLANS)
        content = [team.model_dump(mode="json", exclude={"drift"}), shared]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
