"""Findings and the report that contains them, for drift detection and for the checks."""

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
"""Critical: users or programs lose access, or have too much."""

SystemName = Literal["kubernetes", "keycloak", "harbor", "istio"]
SYSTEMS: tuple[SystemName, ...] = ("kubernetes", "keycloak", "harbor", "istio")

DECLARED = "declared state"
"""The system of findings about the declared state itself."""


def _ignore_rule(team: Team, key: str, field: str) -> Place:
    return ("drift", "ignore")


RULE = Kind(DECLARED, "ignore rule", place=_ignore_rule)
"""The kind of an ignore rule. Its key is the rule's selector."""
TEAM = Kind(DECLARED, "team")
"""The kind of a team that is not onboarded. Its key is the team's name."""

_REMEDIES: dict[Action, str] = {
    "adopt": "adopt (remediate: all)",
    "create": "create (remediate: safe)",
    "update": "update (remediate: safe)",
    "replace": "replace (remediate: safe)",
    "delete": "delete (remediate: all)",
}


@dataclass(frozen=True)
class Finding:
    """One line of a report."""

    class_: FindingClass
    severity: Severity
    resource: Id
    team: str
    """The team's name; PLATFORM if it belongs to no single team."""
    location: Location
    """The line that declares the resource, or would declare it."""
    fields: tuple[Difference, ...] = ()
    """The fields that differ: `old` is actual, `new` is desired. They contain no secrets."""
    detail: str = ""
    """Further information, one sentence."""
    marked: bool = False
    """Whether an extra has Tenantry's mark."""
    remedy: Action | None = None
    """The action that remediation would take; None if it takes none."""
    check: str = ""
    """The check that has found it, by its name in `docs/checks.md`; empty for drift."""
    advice: str = ""
    """What the operator can do, if remediation takes no action."""

    @property
    def id(self) -> str:
        """The finding's stable id across runs, as reports show it."""
        return visible(": ".join(filter(None, [self.class_, self.check, str(self.resource)])))

    @property
    def description(self) -> str:
        """The finding's detail, with the name of its check."""
        return f"{self.check}: {self.detail}" if self.check else self.detail

    @property
    def what_to_do(self) -> str:
        """The advice for the operator, or the action that remediation would take."""
        if self.advice or self.remedy is None:
            return self.advice or "correct it by hand: remediation does not change it"
        return _REMEDIES[self.remedy]

    @property
    def fingerprint(self) -> str:
        """A hash of the id."""
        return hashlib.sha256(self.id.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Ignored:
    """A finding that a rule of the declared state ignores."""

    finding: Finding
    reason: str


@dataclass(frozen=True)
class Scope:
    """The observed teams and systems."""

    teams: tuple[str, ...]
    systems: tuple[SystemName, ...]
    all_teams: bool
    """Whether it covers all teams. Only then are resources of no declared team reported."""
    credentials: bool
    """Whether robots' credentials were tested."""
    left_out: tuple[str, ...] = ()
    """Declared teams whose files are faulty, so that they were not compared."""


@dataclass(frozen=True)
class Report:
    """The findings of one run, the most severe first."""

    platform: str
    """The platform's name."""
    origin: str
    """The source of the declared state."""
    base: str
    """The declared state's folder within its repository."""
    time: datetime
    """The time of the observation, UTC."""
    scope: Scope
    resources: int
    """The number of compared declared resources."""
    findings: tuple[Finding, ...]
    waiting: tuple[tuple[str, Refusal], ...] = ()
    """The resources, with their team, that cannot be created yet, and the reason. Not drift."""
    ignored: tuple[Ignored, ...] = ()
    checks: tuple[str, ...] = ()
    """The names of the checks; empty for drift detection."""

    @property
    def title(self) -> str:
        """The kind of report, as a title."""
        return "Checks" if self.checks else "Drift"

    @property
    def unreadable(self) -> tuple[Finding, ...]:
        """The findings about unreadable resources and systems."""
        return tuple(finding for finding in self.findings if finding.class_ == "unreadable")

    @property
    def unread_systems(self) -> tuple[str, ...]:
        """One sentence for each system that could not be read at all, with the reason."""
        return tuple(
            f"{found.resource.system.capitalize()} could not be read: "
            + found.detail.removeprefix(f"{found.resource.system.capitalize()}: ").rstrip(".")
            + "."
            for found in self.unreadable
            if found.resource == whole_system(found.resource.system)
        )

    @property
    def drift(self) -> tuple[Finding, ...]:
        """All findings except unreadable ones."""
        return tuple(finding for finding in self.findings if finding.class_ != "unreadable")

    def of(self, team: str) -> tuple[Finding, ...]:
        """Return the findings of one team."""
        return tuple(finding for finding in self.findings if finding.team == team)

    @property
    def summary(self) -> str:
        """The result as one line."""
        scope, good = f"{count(len(self.scope.teams), 'team')}, ", "in sync"
        if self.checks:
            scope, good = scope + count(len(self.checks), "check"), "passed"
        else:
            scope += count(self.resources, "resource")
        if not self.findings:
            return f"{scope}: {good}."
        severities = Counter(finding.severity for finding in self.findings)
        counts = ", ".join(f"{severities[s]} {s}" for s in SEVERITIES if severities[s])
        return f"{scope}: {count(len(self.findings), 'finding')} ({counts})."


def team_name(team: str) -> str:
    """Return a team's name for display; `(platform)` for PLATFORM."""
    return "(platform)" if team == PLATFORM else team


def merge_missing(
    found: Sequence[Finding], locations: Mapping[str, Location]
) -> tuple[Finding, ...]:
    """Return the findings, with one finding per new team instead of one per missing resource.

    Args:
        found: all findings.
        locations: the location of each team that has no resources yet.
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
    text = f"it is not onboarded yet: {count(len(missing), 'resource')} to create ({shown})"
    resource = Id(TEAM, team)
    return Finding("missing", "info", resource, team, location, detail=text, remedy="create")


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings sorted by severity, team, class and resource."""
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
