"""What the checks have found, for people and for programs."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tenantry.checks.findings import Finding


def summary(found: Sequence[Finding]) -> str:
    """What it comes to, in a line."""
    unread = sum(finding.class_ == "unreadable" for finding in found)
    broken = [finding for finding in found if finding.class_ == "broken"]
    if not found:
        return "All checks passed."
    critical = sum(finding.severity == "critical" for finding in broken)
    parts = [f"{critical} critical"] * bool(critical)
    parts += [f"{len(broken) - critical} to watch"] * (len(broken) > critical)
    parts += [f"{unread} not readable"] * bool(unread)
    return f"{len(found)} {'finding' if len(found) == 1 else 'findings'}: {', '.join(parts)}."


def document(found: Sequence[Finding]) -> list[dict[str, str]]:
    """Findings as rows: the same for a table in the UI and for JSON."""
    return [
        {
            "severity": finding.severity,
            "class": finding.class_,
            "check": finding.check,
            "team": finding.team,
            "resource": str(finding.resource),
            "cause": finding.cause,
            "remedy": finding.remedy,
        }
        for finding in found
    ]


def table(found: Sequence[Finding]) -> RenderableType:
    """Findings as they are printed on a terminal."""
    line = Text(summary(found), style="bold")
    if not found:
        return line
    shown = Table()
    for column in ("Check", "Resource", "Cause", "Remedy"):
        shown.add_column(column, overflow="fold")
    for finding in found:
        colour = "red" if finding.severity == "critical" else "yellow"
        cells = (str(finding.resource), finding.cause, finding.remedy)
        shown.add_row(f"[{colour}]{finding.check}[/]", *map(escape, cells))
    return Group(shown, line)
