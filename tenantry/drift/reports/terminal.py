"""The report as a table for the terminal."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tenantry import explain
from tenantry.drift.findings import CLASSES, SEVERITIES, Finding, Report, Severity, team_name
from tenantry.drift.history import History
from tenantry.resources import Difference
from tenantry.wording import count

COLOURS: dict[Severity, str] = {"critical": "red", "warning": "yellow", "info": "cyan"}
ALIKE = 3
"""From this number on, similar findings are grouped: the first is shown, the others are counted."""
_FIELDS = 4
_MANY = 60


def table(report: Report, history: History, *, full: bool = False) -> RenderableType:
    """Return the report as a table, the most severe findings first.

    Args:
        report: the report.
        history: the history including the report's run.
        full: show every finding. If false, many similar findings are grouped.
    """
    parts: list[RenderableType] = []
    since = history.open_since()
    grouped = not full and len(report.findings) > _MANY
    for severity in SEVERITIES:
        found = [finding for finding in report.findings if finding.severity == severity]
        if found:
            parts += [_table(severity, found, report, since, grouped=grouped), Text()]
    if report.findings and len(report.scope.teams) > 1:
        parts += [_by_team(report), Text()]
    for _, each in report.waiting[:ALIKE]:
        parts.append(Text(f"Waiting: {each.id}: {each.reason}", "dim"))
    if len(report.waiting) > ALIKE:
        parts.append(Text(f"… and {len(report.waiting) - ALIKE} more waiting.", "dim"))
    if report.ignored:
        ignored = count(len(report.ignored), "further finding")
        parts.append(Text(f"{ignored} ignored by rules.", "dim"))
    if grouped:
        parts.append(Text("Similar findings are grouped; --full shows all of them.", "dim"))
    parts.append(Text(report.summary, style="bold" if report.findings else "bold green"))
    return Group(*parts)


def _table(
    severity: Severity,
    found: Sequence[Finding],
    report: Report,
    since: dict[str, datetime],
    *,
    grouped: bool,
) -> Table:
    colour = COLOURS[severity]
    title = f"[{colour}]{severity.capitalize()}[/] ({len(found)})"
    shown = Table(title=title, title_justify="left", title_style="bold", show_lines=True)
    columns = ["Team", "Class", "Resource"]
    # The checks keep no history.
    columns += ["Finding" if report.checks else "Field: actual → desired", "Remedy"]
    columns += [] if report.checks else ["Open"]
    for column in columns:
        shown.add_column(column, overflow="fold", no_wrap=column in ("Class", "Open"))
    groups = _groups(found) if grouped else [[finding] for finding in found]
    for group in groups:
        alike = len(group) >= ALIKE
        for finding in group[:1] if alike else group:
            resource = str(finding.resource)
            more = (
                f"\n[dim]… and {len(group) - 1} more like it in {_teams(group)}[/]" if alike else ""
            )
            cells = [
                escape(team_name(finding.team)),
                f"[{colour}]{finding.class_}[/]",
                escape(resource) + more,
                escape(describe(finding)),
                escape(finding.what_to_do),
                age(since.get(finding.id), report.time),
            ]
            shown.add_row(*cells[: len(columns)])
    return shown


def _groups(found: Iterable[Finding]) -> list[list[Finding]]:
    """Return the findings grouped by class, kind and fields, the largest groups last."""
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for finding in found:
        alike = (
            finding.class_,
            *finding.resource.parts[:2],
            *(each.field for each in finding.fields),
        )
        groups.setdefault(alike, []).append(finding)
    return sorted(groups.values(), key=len)


def _teams(group: Sequence[Finding]) -> str:
    number = len({finding.team for finding in group})
    return "the same team" if number == 1 else count(number, "team")


def describe(finding: Finding) -> str:
    """Return the differing fields of a finding, one per line, and its description."""
    lines = [difference(found) for found in finding.fields[:_FIELDS]]
    more = len(finding.fields) - _FIELDS
    lines += [f"… and {count(more, 'more field')}"] * (more > 0)
    return "\n".join([*lines, *([finding.description] if finding.description else [])])


def difference(found: Difference) -> str:
    """Return one field with its actual and desired value."""
    return f"{found.field}: {explain.text(found.old)} → {explain.text(found.new)}"


def age(since: datetime | None, now: datetime) -> str:
    """Return how long a finding has been open."""
    if since is None or since >= now:
        return "new"
    open_for: timedelta = now - since
    if open_for.days:
        return f"{open_for.days} d"
    hours, rest = divmod(open_for.seconds, 3600)
    if hours:
        return f"{hours} h"
    return f"{rest // 60} min" if rest >= 60 else "<1 min"


def _by_team(report: Report) -> Table:
    shown = Table(title="By team", title_justify="left", title_style="bold")
    shown.add_column("Team")
    for class_ in CLASSES:
        shown.add_column(class_.capitalize(), justify="right")
    shown.add_column("Total", justify="right")
    counts = Counter((finding.team, finding.class_) for finding in report.findings)
    totals = Counter(finding.team for finding in report.findings)
    worst = totals.most_common(15)
    for team, total in worst:
        shown.add_row(
            escape(team_name(team)), *(str(counts[team, c] or "") for c in CLASSES), str(total)
        )
    if len(totals) > len(worst):
        rest = len(totals) - len(worst)
        shown.add_row(f"[dim]… and {count(rest, 'more team')}[/]", *[""] * (len(CLASSES) + 1))
    return shown
