"""What a look at the systems came to, for drift or by the checks: findings, in one report."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tenantry.declared import Location, Team
from tenantry.declared.faults import Place
from tenantry.kinds import Kind
from tenantry.plan import Action, Refusal
from tenantry.resources import PLATFORM, Difference, Id, whole_system
from tenantry.text import visible
from tenantry.wording import count

FindingClass = Literal["missing", "changed", "extra", "unreadable", "broken"]
CLASSES: tuple[FindingClass, ...] = ("broken", "missing", "changed", "extra", "unreadable")

Severity = Literal["critical", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")
"""Critical: access is lost, or too wide."""

SystemName = Literal["kubernetes", "keycloak", "harbor", "istio"]
SYSTEMS: tuple[SystemName, ...] = ("kubernetes", "keycloak", "harbor", "istio")

DECLARED = "declared state"
"""The system of findings about the declared state itself."""


def _ignore_rule(team: Team, key: str, field: str) -> Place:
    return ("drift", "ignore")


RULE = Kind(DECLARED, "ignore rule", place=_ignore_rule)
"""An ignore rule; its key says what it ignores."""
TEAM = Kind(DECLARED, "team")
"""A whole team that is not onboarded; its key is the team's name."""

_REMEDIES: dict[Action, str] = {
    "create": "create (remediate: safe)",
    "update": "update (remediate: safe)",
    "replace": "replace (remediate: safe)",
    "delete": "delete (remediate: all)",
}
_ADOPTION = "adopt (remediate: all)"


@dataclass(frozen=True)
class Finding:
    """One line of a report."""

    class_: FindingClass
    severity: Severity
    resource: Id
    team: str
    """The team's name; PLATFORM if it is no single team's."""
    location: Location
    """Where it is declared, or would be."""
    fields: tuple[Difference, ...] = ()
    """What differs; old is actual, new is desired. Never a secret."""
    detail: str = ""
    """What else there is to say, in a sentence."""
    marked: bool = False
    """Whether an extra carries Tenantry's mark."""
    remedy: Action | None = None
    """What remediation would do about it; None if that is nothing."""
    adopts: bool = False
    """Whether the remedy adopts what Tenantry did not create."""
    check: str = ""
    """The check that has found it, as `docs/checks.md` calls it; empty if it is drift."""
    advice: str = ""
    """What a person is to do about it, where remediation can't."""

    @property
    def id(self) -> str:
        """What the finding is known by from one run to the next, as files and pages show it."""
        return visible(": ".join(filter(None, [self.class_, self.check, str(self.resource)])))

    @property
    def words(self) -> str:
        """What there is to say besides its fields and the remedy."""
        return f"{self.check}: {self.detail}" if self.check else self.detail

    @property
    def what_to_do(self) -> str:
        """What a person does about it, or has remediation do."""
        if self.advice or self.remedy is None:
            return self.advice or "see the finding"
        return _ADOPTION if self.adopts else _REMEDIES[self.remedy]

    @property
    def fingerprint(self) -> str:
        """The id as a hash."""
        return hashlib.sha256(self.id.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Ignored:
    """A finding that a rule of the declared state leaves out of the report."""

    finding: Finding
    reason: str


@dataclass(frozen=True)
class Scope:
    """What was looked at."""

    teams: tuple[str, ...]
    systems: tuple[SystemName, ...]
    all_teams: bool
    """Whether these are all teams: only then is told of what is no declared team's."""
    credentials: bool
    """Whether robots' credentials were tried."""
    left_out: tuple[str, ...] = ()
    """Declared teams whose files are faulty: nothing of them was compared."""


@dataclass(frozen=True)
class Report:
    """What a look at the systems came to, the most severe first."""

    platform: str
    """How people call the platform."""
    origin: str
    """Where the declared state was read."""
    base: str
    """The declared state's folder as seen from the root of its repository."""
    time: datetime
    """When it was looked, in UTC."""
    scope: Scope
    resources: int
    """How many declared resources were compared."""
    findings: tuple[Finding, ...]
    waiting: tuple[tuple[str, Refusal], ...] = ()
    """By team: what can't be made yet, and what it waits for. It is no drift."""
    ignored: tuple[Ignored, ...] = ()
    checks: tuple[str, ...] = ()
    """The checks that were made; none if it was looked for drift."""

    @property
    def title(self) -> str:
        """What it is a report of."""
        return "Checks" if self.checks else "Drift"

    @property
    def unreadable(self) -> tuple[Finding, ...]:
        """The findings about what could not be read."""
        return tuple(finding for finding in self.findings if finding.class_ == "unreadable")

    @property
    def unread_systems(self) -> tuple[str, ...]:
        """A sentence for each system that could not be read at all: which, and why."""
        return tuple(
            f"{found.resource.system.capitalize()} could not be read: "
            + found.detail.removeprefix(f"{found.resource.system.capitalize()}: ").rstrip(".")
            + "."
            for found in self.unreadable
            if found.resource == whole_system(found.resource.system)
        )

    @property
    def drift(self) -> tuple[Finding, ...]:
        """The other findings."""
        return tuple(finding for finding in self.findings if finding.class_ != "unreadable")

    def of(self, team: str) -> tuple[Finding, ...]:
        """One team's findings."""
        return tuple(finding for finding in self.findings if finding.team == team)

    @property
    def summary(self) -> str:
        """What it comes to, in a line."""
        looked, well = f"{count(len(self.scope.teams), 'team')}, ", "in sync"
        if self.checks:
            looked, well = looked + count(len(self.checks), "check"), "passed"
        else:
            looked += count(self.resources, "resource")
        if not self.findings:
            return f"{looked}: {well}."
        severities = Counter(finding.severity for finding in self.findings)
        told = ", ".join(f"{severities[s]} {s}" for s in SEVERITIES if severities[s])
        return f"{looked}: {count(len(self.findings), 'finding')} ({told})."


def team_name(team: str) -> str:
    """A team's name as it is shown; the platform has none of its own."""
    return "(platform)" if team == PLATFORM else team


def merge_missing(
    found: Sequence[Finding], locations: Mapping[str, Location]
) -> tuple[Finding, ...]:
    """Return the findings with one for each team in place of all that something of it is missing.

    Args:
        found: all findings.
        locations: the teams of which nothing exists, and where each is declared.
    """
    missing: dict[str, list[Finding]] = defaultdict(list)
    others: list[Finding] = []
    for each in found:
        is_of_new = each.class_ == "missing" and each.team in locations
        (missing[each.team] if is_of_new else others).append(each)
    return (*others, *(_merged(team, missing[team], locations[team]) for team in missing))


def _merged(team: str, missing: Sequence[Finding], location: Location) -> Finding:
    counts = Counter(each.resource.system for each in missing)
    shown = ", ".join(f"{counts[system]} in {system.capitalize()}" for system in counts)
    text = (
        f"it is declared and not onboarded: {count(len(missing), 'resource')} to create ({shown})"
    )
    resource = Id(TEAM, team)
    return Finding("missing", "info", resource, team, location, detail=text, remedy="create")


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The most severe first, then team by team."""
    return tuple(
        sorted(
            findings,
            key=lambda finding: (
                SEVERITIES.index(finding.severity),
                finding.team,
                CLASSES.index(finding.class_),
                finding.resource,
            ),
        )
    )
