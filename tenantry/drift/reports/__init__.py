"""The report in its file formats."""

from collections.abc import Callable
from typing import Literal

from tenantry.drift.findings import Report
from tenantry.drift.history import History

Format = Literal["json", "csv", "html", "sarif"]

FILES: dict[Format, str] = {
    "json": "drift.json",
    "csv": "drift.csv",
    "html": "drift.html",
    "sarif": "drift.sarif",
}
"""The file name of each format."""


def write(format: Format, report: Report, history: History | None = None) -> str:
    """Return the content of the report's file.

    Args:
        format: the format.
        report: the report.
        history: the history including the report's run. Without it, findings have no age.
    """
    return _writer(format)(report, History.empty() if history is None else history)


def _writer(format: Format) -> Callable[[Report, History], str]:
    """Return the writer of a format. It gets the report, and the history including its run."""
    # Imported here, because CSV needs pandas, and HTML needs Jinja.
    match format:
        case "json":
            from tenantry.drift.reports import document

            return document.text
        case "csv":
            from tenantry.drift.reports import spreadsheet

            return spreadsheet.text
        case "html":
            from tenantry.drift.reports import html

            return html.text
        case "sarif":
            from tenantry.drift.reports import sarif

            return sarif.text
