"""The report as SARIF 2.1.0, which code hosts show on the lines of the declared state."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tenantry import explain, sarif
from tenantry.drift.findings import CLASSES, Finding, FindingClass, Report, Severity, team_name
from tenantry.drift.history import History
from tenantry.text import json_text, sarif_text, visible

_LEVELS: dict[Severity, str] = {"critical": "error", "warning": "warning", "info": "note"}
_RULES: dict[FindingClass, tuple[str, str]] = {
    "broken": ("A credential does not work", "It exists, and does not work or expires soon."),
    "missing": ("A resource is missing", "It is declared, and does not exist."),
    "changed": ("A resource was changed", "It differs from the declared state."),
    "extra": ("A resource is not declared", "It exists, and is not in the declared state."),
    "unreadable": ("A resource could not be read", "It may differ from the declared state."),
}


def text(report: Report, history: History) -> str:
    """Return the report as SARIF. Code hosts resolve file paths from the repository's root."""
    since = history.open_since()
    rules = [*map(_check, report.checks)] if report.checks else [*map(_rule, CLASSES)]
    invocation = {
        "executionSuccessful": not report.unreadable,
        "endTimeUtc": report.time.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    results = [_result(finding, report, since.get(finding.id)) for finding in report.findings]
    content = sarif.document(report.title.lower(), rules, results, invocations=[invocation])
    return json_text(content) + "\n"


def _rule(class_: FindingClass) -> dict[str, Any]:
    short, full = _RULES[class_]
    return {
        "id": f"drift/{class_}",
        "shortDescription": {"text": short},
        "fullDescription": {"text": full},
        "properties": {"tags": ["drift"]},
    }


def _check(name: str) -> dict[str, Any]:
    return {
        "id": f"checks/{name}",
        "shortDescription": {"text": f"Check: {name}"},
        "properties": {"tags": ["checks"]},
    }


def _result(finding: Finding, report: Report, since: datetime | None) -> dict[str, Any]:
    rule = f"checks/{finding.check}" if finding.check else f"drift/{finding.class_}"
    order: Sequence[str] = report.checks or CLASSES
    path = f"{report.base.strip('/')}/{finding.location.file}".lstrip("/")
    return {
        "ruleId": rule,
        "ruleIndex": order.index(finding.check or finding.class_),
        "level": _LEVELS[finding.severity],
        "message": {"text": sarif_text(_message(finding))},
        "locations": sarif.locations(path, finding.location.line),
        "partialFingerprints": {"tenantryFindingId/v1": finding.fingerprint},
        "properties": {
            "severity": finding.severity,
            "team": visible(team_name(finding.team)),
            "openSince": since.isoformat() if since else None,
        },
    }


def _message(finding: Finding) -> str:
    fields = [
        f"{f.field}: desired {explain.text(f.new)}, actual {explain.text(f.old)}"
        for f in finding.fields
    ]
    parts = "; ".join([*fields, *([finding.description] if finding.description else [])])
    head = f"{finding.resource} is {finding.class_}"
    text = f"{head}: {parts}" if parts else head
    return f"{text.rstrip('.')}. Remedy: {finding.what_to_do}"
