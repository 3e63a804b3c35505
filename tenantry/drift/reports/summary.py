"""The report as Prefect's UI shows it: Markdown, and rows of a table."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from tenantry.drift.findings import CLASSES, SEVERITIES, SYSTEMS, Finding, Report, team_name
from tenantry.drift.history import History
from tenantry.drift.reports.terminal import age, told
from tenantry.wording import count

_TEAMS = 10
_FINDINGS = 30
_BAR = 12
_RUNS = 40
_LEVELS = " ▁▂▃▄▅▆▇█"


def row(finding: Finding, since: Mapping[str, datetime], now: datetime) -> dict[str, str]:
    """Return a finding as a row of a table: first what people read, then what programs read."""
    system, kind, key = finding.resource
    return {
        "severity": f"{finding.severity}\n{finding.class_}",
        "where": f"{team_name(finding.team)}\n{system} {kind}\n{key}",
        "finding" if finding.check else "field: actual → desired": told(finding),
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
"""Characters of a line in the columns of a row, where not 24; programs read those with None."""


def markdown(report: Report, history: History, done: Sequence[str] = (), store: str = "") -> str:
    """The report in short.

    Args:
        report: the report.
        history: with the report's run in it.
        done: the resources that the run has mended.
        store: what the files with the whole report are kept in, if they are.
    """
    parts = [f"# Drift of {report.platform}", f"**{report.summary}**"]
    if done:
        parts.append(f"Remediated by this run: {count(len(done), 'resource')}.")
    if report.findings:
        parts += [_by_system(report), _by_team(report), _findings(report)]
    trend = _trend(history)
    parts += [f"## Findings of the last {len(trend)} runs\n\n`{trend}`"] if len(trend) > 1 else []
    parts += _footer(report, store)
    return "\n\n".join(parts) + "\n"


def checks(report: Report) -> str:
    """Return the findings of checking a platform, with what to do, as Markdown."""
    head = f"# Checks of {report.platform}\n\n**{report.summary}**\n"
    return f"{head}\n{_findings(report)}\n" if report.findings else head


def _by_system(report: Report) -> str:
    counts = Counter((f.resource.system, f.class_) for f in report.findings)
    systems = [s for s in (*SYSTEMS, "declared state") if any(counts[s, c] for c in CLASSES)]
    lines = [_line("system", *CLASSES), _line(*["---"] * (len(CLASSES) + 1))]
    lines += [_line(s, *(counts[s, c] or "" for c in CLASSES)) for s in systems]
    return "## By system\n\n" + "\n".join(lines)


def _by_team(report: Report) -> str:
    counts = Counter((f.team, f.severity) for f in report.findings)
    totals = Counter(f.team for f in report.findings)
    order = sorted(totals, key=lambda team: [-counts[team, s] for s in SEVERITIES])
    most = max(totals.values())
    lines = [_line("team", *SEVERITIES, "findings"), _line(*["---"] * 5)]
    for team in order[:_TEAMS]:
        bar = "█" * max(1, round(_BAR * totals[team] / most))
        cells = (counts[team, s] or "" for s in SEVERITIES)
        lines.append(_line(team_name(team), *cells, f"{bar} {totals[team]}"))
    if len(order) > _TEAMS:
        lines.append(_line(f"… and {count(len(order) - _TEAMS, 'more team')}", "", "", "", ""))
    return "## By team\n\n" + "\n".join(lines)


def _findings(report: Report) -> str:
    lines = [
        f"- **{f.severity}** `{f.resource}` is {f.class_} ({f.location.file}:{f.location.line})"
        f"{_reason(f)}. Remedy: {_plain(f.what_to_do).rstrip('.')}."
        for f in report.findings[:_FINDINGS]
    ]
    more = len(report.findings) > len(lines)
    head = f"The {len(lines)} most severe findings" if more else "Findings"
    return f"## {head}\n\n" + "\n".join(lines)


def _reason(finding: Finding) -> str:
    """What differs, as code: what a tenant has written must not become Markdown."""
    text = " ".join(told(finding).replace("`", "'").split())
    return f": `{text.rstrip('.')}`" if text else ""


def _plain(text: str) -> str:
    return re.sub(r"([\\`*_<>\[\]])", r"\\\1", text)


def _trend(history: History) -> str:
    """A block a run, as high as it had findings."""
    runs = history.runs.tail(_RUNS)
    totals = runs[list(SEVERITIES)].sum(axis=1).tolist()
    most = max(totals, default=0) or 1
    return "".join(_LEVELS[-(-8 * total // most)] if total else "·" for total in totals)


def _footer(report: Report, store: str) -> list[str]:
    parts = []
    if report.waiting:
        lines = [f"- `{each.id}`: {each.reason}" for _, each in report.waiting[:10]]
        more = len(report.waiting) - len(lines)
        lines += [f"- … and {more} more"] * (more > 0)
        parts.append("## Waiting\n\n" + "\n".join(lines))
    if report.ignored:
        parts.append(f"{len(report.ignored)} more are ignored by rules of the declared state.")
    if not report.scope.credentials:
        parts.append("Robots' credentials were not tried.")
    parts.append(f"Declared in {report.origin}.")
    if store:
        parts.append(f"The whole report is in block `{store}`: drift.html, .json, .csv, .sarif.")
    return parts


def _line(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"
