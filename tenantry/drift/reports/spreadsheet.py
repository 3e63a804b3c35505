"""The report as CSV: one row per finding, or one row per differing field."""

import pandas as pd

from tenantry import explain
from tenantry.drift.findings import Finding, Report
from tenantry.drift.history import History
from tenantry.tables import csv_text

COLUMNS = [
    *("severity", "class", "team", "system", "kind", "key", "field", "desired", "actual"),
    *("detail", "file", "line", "remedy", "open_since", "check", "advice"),
]


def text(report: Report, history: History) -> str:
    """Return the report as CSV."""
    since = history.open_since()
    rows = [row for finding in report.findings for row in _rows(finding)]
    table = pd.DataFrame(rows, columns=COLUMNS)
    ids = [finding.id for finding in report.findings for _ in finding.fields or (None,)]
    table["open_since"] = [
        since[id].isoformat(timespec="seconds") if id in since else "" for id in ids
    ]
    return csv_text(table)


def _rows(finding: Finding) -> list[dict[str, object]]:
    system, kind, key = finding.resource.parts
    one = {
        "severity": finding.severity,
        "class": finding.class_,
        "team": finding.team,
        "system": system,
        "kind": kind,
        "key": key,
        "field": "",
        "desired": "",
        "actual": "",
        "detail": finding.detail,
        "file": finding.location.file,
        "line": finding.location.line,
        "remedy": finding.remedy or "",
        "check": finding.check,
        "advice": finding.advice,
    }
    fields = [
        {"field": f.field, "desired": explain.full_text(f.new), "actual": explain.full_text(f.old)}
        for f in finding.fields
    ]
    return [one | field for field in fields] or [one]
