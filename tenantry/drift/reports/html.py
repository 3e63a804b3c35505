"""The report as one self-contained HTML page."""

from collections import Counter
from datetime import datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tenantry import explain
from tenantry.drift.findings import CLASSES, SEVERITIES, Finding, Report, team_name
from tenantry.drift.history import History
from tenantry.drift.reports import trend
from tenantry.drift.reports.terminal import age
from tenantry.resources import Difference
from tenantry.text import visible
from tenantry.wording import count

_OPEN_FIELDS = 3
"""The number of fields of a finding that are shown; further ones are collapsed."""


def _visible(value: Any) -> Any:
    """Return a template expression's value, with invisible characters of texts made visible."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


_pages = Environment(
    loader=PackageLoader("tenantry.drift.reports", "templates"),
    autoescape=True,
    finalize=_visible,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def text(report: Report, history: History) -> str:
    """Return the report as an HTML page."""
    since = history.open_since()
    severities = Counter(finding.severity for finding in report.findings)
    classes = Counter(finding.class_ for finding in report.findings)
    return _pages.get_template("drift.html").render(
        count=count,
        report=report,
        time=report.time.strftime("%d %B %Y, %H:%M UTC"),
        severities=[(severity, severities[severity]) for severity in SEVERITIES],
        classes=[(class_, classes[class_]) for class_ in CLASSES],
        fills=trend.FILLS,
        rows=[_row(finding, since.get(finding.id), report.time) for finding in report.findings],
        ignored=[
            {**_row(each.finding, None, report.time), "reason": each.reason}
            for each in report.ignored
        ],
        teams=_teams(report),
        alike=_alike(report),
        trend=Markup(trend.svg(history)),  # noqa: S704 it contains only our own numbers and dates
        resolved=_resolved(history),
        noisiest=history.noisiest().to_dict("records"),
    )


def _row(finding: Finding, since: datetime | None, now: datetime) -> dict[str, Any]:
    system, kind, key = finding.resource.parts
    fields = [_field(found) for found in finding.fields]
    return {
        "severity": finding.severity,
        "rank": SEVERITIES.index(finding.severity),
        "class": finding.class_,
        "team": team_name(finding.team),
        "system": system,
        "kind": kind,
        "key": key,
        "fields": fields[:_OPEN_FIELDS],
        "more": fields[_OPEN_FIELDS:],
        "words": finding.description,
        "remedy": finding.what_to_do,
        "place": f"{finding.location.file}:{finding.location.line}",
        "age": age(since, now),
        "seconds": int((now - since).total_seconds()) if since else 0,
        "since": since.strftime("%Y-%m-%d %H:%M UTC") if since else "",
    }


def _field(found: Difference) -> dict[str, str]:
    return {
        "field": found.field,
        "actual": explain.text(found.old),
        "desired": explain.text(found.new),
        "title": f"actual: {explain.full_text(found.old)}\ndesired: {explain.full_text(found.new)}",
    }


def _alike(report: Report) -> list[dict[str, Any]]:
    """Return groups of similar findings, sorted by severity and frequency."""
    groups: dict[tuple[Any, ...], list[Finding]] = {}
    for finding in report.findings:
        fields = ", ".join(found.field for found in finding.fields[:2])
        group = (finding.severity, finding.class_, *finding.resource.parts[:2], fields)
        groups.setdefault(group, []).append(finding)
    rows = [
        {
            **dict(zip(("severity", "class", "system", "kind", "fields"), group, strict=True)),
            "count": len(found),
            "teams": len({finding.team for finding in found}),
        }
        for group, found in groups.items()
    ]
    return sorted(rows, key=lambda row: (SEVERITIES.index(row["severity"]), -row["count"]))


def _teams(report: Report) -> list[dict[str, Any]]:
    """Return the teams with findings, the most severe first."""
    counts = Counter((finding.team, finding.severity) for finding in report.findings)
    totals = Counter(finding.team for finding in report.findings)
    rows = [
        {
            "team": team_name(team),
            "counts": [counts[team, severity] for severity in SEVERITIES],
            "total": total,
        }
        for team, total in totals.items()
    ]
    return sorted(rows, key=lambda row: ([-count for count in row["counts"]], row["team"]))


def _resolved(history: History) -> list[dict[str, Any]]:
    return [
        {
            "when": row["closed"].strftime("%Y-%m-%d %H:%M"),
            "open": age(row["opened"].to_pydatetime(), row["closed"].to_pydatetime()),
            **{key: row[key] for key in ("class", "system", "kind", "key", "closed_by")},
            "team": team_name(row["team"]),
        }
        for row in history.resolved().to_dict("records")
    ]
