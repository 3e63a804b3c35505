"""The report in its file formats."""

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
"""The file name and the writer of each format. A writer gets the report, and the history including
the report's run."""


def write(format: Format, report: Report, history: History | None = None) -> str:
    """Return the content of the report's file.

    Args:
        format: the format.
        report: the report.
        history: the history including the report's run. Without it, findings have no age.
    """
    return FILES[format][1](report, History.empty() if history is None else history)
