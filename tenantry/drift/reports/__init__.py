"""The report in the forms that people and programs read."""

from collections.abc import Callable
from typing import Literal

from tenantry.drift.findings import Report
from tenantry.drift.history import History
from tenantry.drift.reports import document, html, sarif, spreadsheet

Format = Literal["json", "csv", "html", "sarif"]

FILES: dict[Format, tuple[str, Callable[[Report, History], str]]] = {
    "json": ("drift.json", document.text),
    "csv": ("drift.csv", spreadsheet.text),
    "html": ("drift.html", html.text),
    "sarif": ("drift.sarif", sarif.text),
}
"""By format: what the file is called, and how it is written, given the report and the history
with the report's run in it."""


def write(format: Format, report: Report, history: History | None = None) -> str:
    """Return the report as the content of a file.

    Args:
        format: its form.
        report: the report.
        history: the history with the report's run in it; without one, no finding has an age.
    """
    return FILES[format][1](report, History.empty() if history is None else history)
