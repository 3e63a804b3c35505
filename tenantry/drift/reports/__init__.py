"""The drift report in the forms that people and programs read."""

from collections.abc import Callable
from typing import Literal

from tenantry.drift.findings import Report
from tenantry.drift.history import History
from tenantry.drift.reports import document, html, sarif, spreadsheet

Format = Literal["json", "csv", "html", "sarif"]

FILES: dict[Format, tuple[str, Callable[[Report, History, str], str]]] = {
    "json": ("drift.json", lambda report, history, base: document.text(report, history)),
    "csv": ("drift.csv", lambda report, history, base: spreadsheet.text(report, history)),
    "html": ("drift.html", lambda report, history, base: html.text(report, history)),
    "sarif": ("drift.sarif", lambda report, history, base: sarif.text(report, base)),
}
"""By format: what the file is called, and how it is written.

A writer takes the report, the history with the report's run in it, and the declared state's folder
as seen from the root of its repository.
"""


def write(format: Format, report: Report, history: History, base: str = "") -> str:
    """The report as a file's content."""
    return FILES[format][1](report, history, base)
