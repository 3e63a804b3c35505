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
        # Fields with defaults are always written, so the schema requires them.
        json_schema_serialization_defaults_required=True,
    )


class FieldDifference(_Part):
    """One field that differs from the declared state. It never contains a secret."""

    field: str
    """The field's path."""
    desired: Any
    """The declared value; null if none is declared."""
    actual: Any
    """The actual value; null if it does not exist."""


class DeclaredAt(_Part):
    """A line of the declared state."""

    file: str
    """The file, relative to the declared state's folder."""
    line: Annotated[int, Field(ge=1)]
    """The line number."""


class Finding(_Part):
    """One line of the report."""

    id: str
    """The finding's stable id across runs."""
    class_: Annotated[FindingClass, Field(alias="class")]
    """missing, changed, extra (not declared), unreadable (could not be read), or broken (an existing
    credential does not work, or expires soon)."""
    severity: Severity
    """critical (access is lost, or too wide), warning or info."""
    team: str | None
    """The team; null for the platform."""
    system: str
    """The system; `declared state` for an ignore rule."""
    kind: str
    """The kind of resource."""
    key: str
    """The resource's key, unique within its kind."""
    fields: list[FieldDifference]
    """The fields that differ, for changed and broken resources."""
    detail: str
    """Further information."""
    location: DeclaredAt
    """The line that declares the resource, or would declare it."""
    marked: bool
    """Whether an extra has Tenantry's mark."""
    remedy: Action | None
    """The action that remediation would take; null if it takes none."""
    check: str
    """The check that has found it; empty for drift."""
    advice: str
    """What the operator can do, if remediation takes no action."""
    open_since: datetime | None
    """The time of the first run that reported the finding, if known."""


class Waiting(_Part):
    """A resource that cannot be created yet, and the reason. It is not drift."""

    team: str
    """The team."""
    resource: str
    """The resource, in the form system/kind/key."""
    reason: str
    """The reason."""


class Ignored(_Part):
    """A finding that a rule of the declared state ignores."""

    finding: Finding
    """The finding."""
    reason: str
    """The rule's reason."""


class Scope(_Part):
    """The observed teams and systems."""

    teams: list[str]
    """The teams."""
    systems: list[SystemName]
    """The systems."""
    all_teams: bool
    """Whether these are all declared teams."""
    credentials: bool
    """Whether robots' credentials were tested."""


class Summary(_Part):
    """The report in numbers."""

    in_sync: bool
    """Whether the report has no findings."""
    resources: int
    """The number of compared declared resources."""
    findings: int
    """The number of findings."""
    by_class: dict[FindingClass, int]
    """The number of findings by class."""
    by_severity: dict[Severity, int]
    """The number of findings by severity."""
    by_team: dict[str, int]
    """The number of findings by team, for teams with findings. The empty name is the platform."""


class Document(_Part):
    """A report of drift detection or of the checks."""

    version: Literal[1] = 1
    """The version of the report format."""
    platform: str
    """The platform's name."""
    declared_state: str
    """The source of the declared state."""
    time: datetime
    """The time of the observation, UTC."""
    scope: Scope
    """The observed teams and systems."""
    checks: list[str]
    """The names of the checks; empty for drift detection."""
    summary: Summary
    """The report in numbers."""
    findings: list[Finding]
    """The findings, the most severe first."""
    waiting: list[Waiting]
    """The resources that cannot be created yet."""
    ignored: list[Ignored]
    """The ignored findings."""


def document(report: Report, history: History) -> Document:
    """Return the report as its JSON model."""
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
    """Return the report as JSON."""
    return json_text(document(report, history).model_dump(mode="json", by_alias=True)) + "\n"
