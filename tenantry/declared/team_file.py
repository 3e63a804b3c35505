"""A team file during its check, and the result for a file with faults."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tenantry.declared.faults import Document, Place
from tenantry.declared.merge import complete
from tenantry.declared.offboarding import is_recorded
from tenantry.declared.platform import Platform
from tenantry.declared.policy_source import NAME, Violation
from tenantry.declared.salvage import name_from_path, name_in_text, valid_name
from tenantry.declared.state import Contested, LeftOut, location_of
from tenantry.declared.team import Team


@dataclass
class TeamFile:
    """A team file during its check."""

    path: Path
    name: str
    document: Document = field(default_factory=lambda: Document("", {}))
    is_whole: bool = False
    """Whether the whole file was read, so that it can be checked together with the others."""
    team: Team | None = None
    """The team with all defaults; only the readable part if the file is faulty."""
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    contested: list[Contested] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    """Violations of the policy. Each is also one of the faults, or contested."""
    refused_adopt: str | dict[str, str] | None = None
    """The declared `adopt`, as far as the policy does not allow it, so that it has no effect."""
    is_rival: bool = False
    """Whether another file owns the team's name, so that this file's content does not count."""

    @property
    def is_faulty(self) -> bool:
        """Whether the file's team is left out."""
        return bool(self.faults or self.contested)

    @property
    def is_offboarding(self) -> bool:
        """Whether the file has the record of an offboarding, even if it is faulty."""
        return is_recorded(self.document.data, self.path)

    @property
    def refused(self) -> frozenset[Place]:
        """The fields that the policy does not allow."""
        return frozenset(each.place for each in self.violations)

    def fault(self, place: Place, text: str) -> None:
        """Record a fault at a field."""
        self.faults.append(self.document.fault(place, text))

    def decide(self, place: Place, fault: str) -> None:
        """Record that another team owns a claimed resource.

        The message replaces the violations at that field: a grant would not help.
        """
        moot = [
            self.document.fault(each.place, each.text)
            for each in self.violations
            if each.place == place
        ]
        self.faults = [*(each for each in self.faults if each not in moot), fault]

    def violate(self, violation: Violation) -> None:
        """Record a violation of the policy."""
        self.violations.append(violation)
        self.fault(violation.place, violation.text)


def left_out_of(file: TeamFile, teams: dict[str, Team]) -> LeftOut:
    """Return the left-out team of a faulty file.

    Args:
        file: the faulty file.
        teams: the teams of the files without faults, whose names the result does not claim.
    """
    said = file.team.name if file.team and not file.is_rival else None
    names = dict.fromkeys(name for name in (said, name_from_path(file.path)) if name)
    return LeftOut(
        file.name,
        tuple(sorted(file.faults, key=location_of)),
        tuple(file.contested),
        tuple(name for name in names if name not in teams),
        None if file.is_rival else file.team,
        file.document,
        is_whole=file.is_whole,
        gives_name=given_name(file) is not None,
        refused=file.refused,
        is_offboarding=file.is_offboarding,
    )


def given_name(file: TeamFile) -> str | None:
    """Return the team name that the file itself gives; None if it gives no readable name."""
    data = file.document.data
    return valid_name(data.get("name")) if data else name_in_text(file.path)


def nameable(file: TeamFile, platform: Platform | None) -> Team | None:
    """Return a team with only a name, for a file of which nothing else can be read.

    Args:
        file: the team file.
        platform: the platform, which gives the team its defaults; None if it cannot be read.
    """
    name = valid_name(file.document.data.get("name")) or (
        (not file.document.data and name_in_text(file.path)) or name_from_path(file.path)
    )
    if name is None or platform is None:
        return Team(name=name) if name else None
    return complete(platform, Team(name=name))


def check_names(files: Iterable[TeamFile]) -> None:
    """Check that each name is declared once.

    `teams/<name>.yaml` owns its name. If several other files declare one name, it is contested.
    """
    by_name: dict[str, list[TeamFile]] = {}
    for file in files:
        if file.team is not None:
            by_name.setdefault(file.team.name, []).append(file)
    for name, rivals in by_name.items():
        owners = [file for file in rivals if file.path.stem == name]
        first = [*owners, *rivals]
        for file in rivals if len(rivals) > 1 else ():
            other = next(each for each in first if each is not file)
            text = f"team '{name}' is also declared in {other.name}"
            if len(owners) == 1 and file is not owners[0]:
                file.decide(NAME, file.document.fault(NAME, text))
                file.is_rival = True
            elif len(owners) != 1:
                fault = file.document.fault(NAME, text)
                file.contested.append(Contested("the team", name, fault))
