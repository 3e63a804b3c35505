"""The report as JSON, for programs."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tenantry import explain
from tenantry.drift import findings
from tenantry.drift.findings import FindingClass, Report, Severity, SystemName
from tenantry.drift.history import History
from tenantry.plan import Action
from tenantry.resources import PLATFORM, Difference
from tenantry.text import json_text


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        # What is always written is always there to be read.
        json_schema_serialization_defaults_required=True,
    )


class FieldDifference(_Part):
    """One field that is not as declared. Never a secret."""

    field: str
    """The field's path."""
    desired: Any
    """What is declared; null if nothing is."""
    actual: Any
    """What is there; null if nothing is."""


class DeclaredAt(_Part):
    """A line of the declared state."""

    file: str
    """The file, relative to the declared state's folder."""
    line: Annotated[int, Field(ge=1)]
    """The line."""


class Finding(_Part):
    """One line of the report."""

    id: str
    """What it is known by from one run to the next."""
    class_: Annotated[FindingClass, Field(alias="class")]
    """missing, changed, extra (nobody declared it), unreadable (it could not be read), or broken (a
    credential that is in place does not work, or not for long)."""
    severity: Severity
    """critical (access is lost, or too wide), warning or info."""
    team: str | None
    """The team; null if it is the platform's."""
    system: str
    """The system; `declared state` of an ignore rule."""
    kind: str
    """The kind of resource."""
    key: str
    """What the resource is known by among those of its kind."""
    fields: list[FieldDifference]
    """The fields that differ, of what is changed or broken."""
    detail: str
    """What else there is to say."""
    location: DeclaredAt
    """Where it is declared, or would be."""
    marked: bool
    """Whether an extra carries Tenantry's mark."""
    remedy: Action | None
    """What remediation would do about it; null if that is nothing."""
    check: str
    """The check that has found it; empty if it is drift."""
    advice: str
    """What a person is to do about it, where remediation can't."""
    open_since: datetime | None
    """Since when it is known to be open."""


class Waiting(_Part):
    """What can't be made yet, and what it waits for. It is no drift."""

    team: str
    """The team."""
    resource: str
    """The resource, as system/kind/key."""
    reason: str
    """What it waits for."""


class Ignored(_Part):
    """What a rule of the declared state leaves out."""

    finding: Finding
    """What would be told."""
    reason: str
    """The rule's reason."""


class Scope(_Part):
    """What was looked at."""

    teams: list[str]
    """The teams."""
    systems: list[SystemName]
    """The systems."""
    all_teams: bool
    """Whether these are all teams that are declared."""
    credentials: bool
    """Whether robots' credentials were tried."""


class Summary(_Part):
    """What it comes to."""

    in_sync: bool
    """Whether there is no finding."""
    resources: int
    """How many declared resources were compared."""
    findings: int
    """How many findings there are."""
    by_class: dict[FindingClass, int]
    """Findings by class."""
    by_severity: dict[Severity, int]
    """Findings by severity."""
    by_team: dict[str, int]
    """Findings by team, of those that have any; the platform's under the empty name."""


class Document(_Part):
    """A report of Tenantry's: of drift, or of the checks."""

    version: Literal[1] = 1
    """Version of this form."""
    platform: str
    """How people call the platform."""
    declared_state: str
    """Where the declared state was read."""
    time: datetime
    """When it was looked, in UTC."""
    scope: Scope
    """What was looked at."""
    checks: list[str]
    """The checks that were made; none if it was looked for drift."""
    summary: Summary
    """What it comes to."""
    findings: list[Finding]
    """The findings, the most severe first."""
    waiting: list[Waiting]
    """What can't be made yet."""
    ignored: list[Ignored]
    """What is left out of the findings."""


def document(report: Report, history: History) -> Document:
    """The report as its JSON has it."""
    since = history.open_since()
    found = report.findings
    teams = sorted({finding.team for finding in found})
    return Document(
        platform=report.platform,
        declared_state=report.origin,
        time=report.time,
        scope=Scope(
            teams=list(report.scope.teams),
            systems=list(report.scope.systems),
            all_teams=report.scope.all_teams,
            credentials=report.scope.credentials,
        ),
        checks=list(report.checks),
        summary=Summary(
            in_sync=not found,
            resources=report.resources,
            findings=len(found),
            by_class={c: sum(f.class_ == c for f in found) for c in findings.CLASSES},
            by_severity={s: sum(f.severity == s for f in found) for s in findings.SEVERITIES},
            by_team={team: len(report.of(team)) for team in teams},
        ),
        findings=[_finding(each, since.get(each.id)) for each in found],
        waiting=[
            Waiting(team=team, resource=str(each.id), reason=each.reason)
            for team, each in report.waiting
        ],
        ignored=[
            Ignored(finding=_finding(each.finding, None), reason=each.reason)
            for each in report.ignored
        ],
    )


def _finding(found: findings.Finding, since: datetime | None) -> Finding:
    system, kind, key = found.resource.parts
    return Finding(
        id=found.id,
        **{"class": found.class_},
        severity=found.severity,
        team=None if found.team == PLATFORM else found.team,
        system=system,
        kind=kind,
        key=key,
        fields=[_difference(each) for each in found.fields],
        detail=found.detail,
        location=DeclaredAt(file=found.location.file, line=found.location.line),
        marked=found.marked,
        remedy=found.remedy,
        check=found.check,
        advice=found.advice,
        open_since=since,
    )


def _difference(found: Difference) -> FieldDifference:
    return FieldDifference(
        field=found.field, desired=explain.plain(found.new), actual=explain.plain(found.old)
    )


def text(report: Report, history: History) -> str:
    """The report as JSON."""
    return json_text(document(report, history).model_dump(mode="json", by_alias=True)) + "\n"
