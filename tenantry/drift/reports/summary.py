"""The report for Prefect artifacts: Markdown, and rows of a table."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from tenantry.drift.findings import CLASSES, SEVERITIES, SYSTEMS, Finding, Report, team_name
from tenantry.drift.history import History
from tenantry.drift.reports.terminal import age, describe
from tenantry.text import Markdown, code, joined, markdown, table_head, table_row
from tenantry.wording import count

_TEAMS = 10
_FINDINGS = 30
_BAR = 12
_RUNS = 40
_LEVELS = " ▁▂▃▄▅▆▇█"


def row(finding: Finding, since: Mapping[str, datetime], now: datetime) -> dict[str, str]:
    """Return a finding as a table row: first the columns for people, then those for programs."""
    system, kind, key = finding.resource.parts
    return {
        "severity": f"{finding.severity}\n{finding.class_}",
        "where": f"{team_name(finding.team)}\n{system} {kind}\n{key}",
        "finding" if finding.check else "field: actual → desired": describe(finding),
        "remedy": finding.what_to_do,
        **({} if finding.check else {"open": age(since.get(finding.id), now)}),
        "declared at": f"{finding.location.file}:{finding.location.line}",
        "class": finding.class_,
        "team": team_name(finding.team),
        "resource": str(finding.resource),
    }


WIDTHS = {
    "severity": 11,
    "where": 22,
    "field: actual → desired": 36,
    "finding": 36,
    "remedy": 20,
    "class": None,
    "team": None,
    "resource": None,
}
"""The widths of columns in characters, if not 24. Columns with None are for programs."""


def page(report: Report, history: History, done: Sequence[str] = (), store: str = "") -> Markdown:
    """Return a summary of the report.

    Args:
        report: the report.
        history: the history including the report's run.
        done: the resources that the run has remediated.
        store: the block that contains the files of the full report; empty if they are not stored.
    """
    parts = [markdown("# Drift of {}", report.platform), markdown("**{}**", report.summary)]
    if done:
        parts.append(markdown("Remediated by this run: {}.", count(len(done), "resource")))
    if report.findings:
        parts += [_by_system(report), _by_team(report), _findings(report)]
    trend = _trend(history) if history.has_past else ""
    if len(trend) > 1:
        parts.append(markdown("## Findings of the last {} runs\n\n`{}`", len(trend), trend))
    parts += _footer(report, store)
    return markdown("{}\n", joined("\n\n", parts))


def checks(report: Report) -> Markdown:
    """Return a summary of the checks, with the remedy of each finding."""
    head = markdown("# Checks of {}\n\n**{}**\n", report.platform, report.summary)
    return markdown("{}\n{}\n", head, _findings(report)) if report.findings else head


def _by_system(report: Report) -> Markdown:
    counts = Counter((f.resource.system, f.class_) for f in report.findings)
    systems = [s for s in (*SYSTEMS, "declared state") if any(counts[s, c] for c in CLASSES)]
    lines = [table_head("system", *CLASSES)]
    lines += [table_row(s, *(counts[s, c] or "" for c in CLASSES)) for s in systems]
    return markdown("## By system\n\n{}", joined("\n", lines))


def _by_team(report: Report) -> Markdown:
    counts = Counter((f.team, f.severity) for f in report.findings)
    totals = Counter(f.team for f in report.findings)
    order = sorted(totals, key=lambda team: [-counts[team, s] for s in SEVERITIES])
    most = max(totals.values())
    lines = [table_head("team", *SEVERITIES, "findings")]
    for team in order[:_TEAMS]:
        bar = "█" * max(1, round(_BAR * totals[team] / most))
        cells = (counts[team, s] or "" for s in SEVERITIES)
        lines.append(table_row(team_name(team), *cells, f"{bar} {totals[team]}"))
    if len(order) > _TEAMS:
        lines.append(table_row(f"… and {count(len(order) - _TEAMS, 'more team')}", "", "", "", ""))
    return markdown("## By team\n\n{}", joined("\n", lines))


def _findings(report: Report) -> Markdown:
    lines = [
        markdown(
            "- **{}** {} is {} ({}:{}){}. Remedy: {}.",
            f.severity,
            code(str(f.resource)),
            f.class_,
            f.location.file,
            f.location.line,
            _reason(f),
            f.what_to_do.rstrip("."),
        )
        for f in report.findings[:_FINDINGS]
    ]
    more = len(report.findings) > len(lines)
    head = f"The {len(lines)} most severe findings" if more else "Findings"
    return markdown("## {}\n\n{}", head, joined("\n", lines))


def _reason(finding: Finding) -> Markdown:
    text = describe(finding).rstrip(".")
    return markdown(": {}", code(text)) if text else markdown("")


def _trend(history: History) -> str:
    """Return a bar per run, whose height shows the number of findings."""
    runs = history.runs.tail(_RUNS)
    totals = runs[list(SEVERITIES)].sum(axis=1).tolist()
    most = max(totals, default=0) or 1
    return "".join(_LEVELS[-(-8 * total // most)] if total else "·" for total in totals)


def _footer(report: Report, store: str) -> list[Markdown]:
    parts = []
    if report.waiting:
        shown = report.waiting[:10]
        lines = [markdown("- {}: {}", code(str(each.id)), each.reason) for _, each in shown]
        more = len(report.waiting) - len(lines)
        lines += [markdown("- … and {} more", more)] * (more > 0)
        parts.append(markdown("## Waiting\n\n{}", joined("\n", lines)))
    if report.ignored:
        parts.append(
            markdown(
                "{} ignored by rules of the declared state.",
                count(len(report.ignored), "further finding"),
            )
        )
    if not report.scope.credentials:
        parts.append(markdown("Robots' credentials were not tested."))
    parts.append(markdown("Declared in {}.", report.origin))
    if store:
        parts.append(
            markdown(
                "The full report is in block {}: drift.html, .json, .csv, .sarif.", code(store)
            )
        )
    return parts
