"""A team's file while it is being checked, and what becomes of one with faults."""

from dataclasses import dataclass, field
from pathlib import Path

from tenantry.declared.faults import Document, Place
from tenantry.declared.policy_source import Violation
from tenantry.declared.salvage import name_from_path, name_in_text, valid_name
from tenantry.declared.state import Contested, LeftOut, location_of
from tenantry.declared.team import Adopt, Team


@dataclass
class TeamFile:
    """A team's file as it is being checked."""

    path: Path
    name: str
    document: Document = field(default_factory=lambda: Document("", {}))
    is_whole: bool = False
    """Whether all of it could be read, so that it can be evaluated together with the others."""
    team: Team | None = None
    """With all defaults; the readable part of it where the file is faulty."""
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    contested: list[Contested] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    """What the policy does not allow; each of them is among the faults, or is contested."""
    refused_adopt: Adopt | None = None
    """The `adopt` that it declares, where the policy gives it no effect."""
    is_rival: bool = False
    """Whether its name is another file's, so that nothing else of it counts."""

    @property
    def is_faulty(self) -> bool:
        """Whether its team is left out."""
        return bool(self.faults or self.contested)

    @property
    def refused(self) -> frozenset[Place]:
        """The fields that the policy does not allow."""
        return frozenset(each.place for each in self.violations)

    def fault(self, place: Place, text: str) -> None:
        """Takes down a fault at a field."""
        self.faults.append(self.document.fault(place, text))

    def decide(self, place: Place, fault: str) -> None:
        """Record that a claim is another's: a grant would not change that, so none is proposed."""
        moot = [
            self.document.fault(each.place, each.text)
            for each in self.violations
            if each.place == place
        ]
        self.faults = [*(each for each in self.faults if each not in moot), fault]

    def violate(self, violation: Violation) -> None:
        """Record something that the policy does not allow."""
        self.violations.append(violation)
        self.fault(violation.place, violation.text)


def left_out_of(file: TeamFile, teams: dict[str, Team]) -> LeftOut:
    """A file with what it counts for: nothing that a file without faults declares."""
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
    )


def given_name(file: TeamFile) -> str | None:
    """Return the name that a file itself gives; None if it gives none that can be read."""
    data = file.document.data
    return valid_name(data.get("name")) if data else name_in_text(file.path)
