"""Writes the reports of `tenantry drift` and `tenantry check`."""

import os
import sys
from pathlib import Path
from typing import Literal

import typer

from tenantry.commands.exit_status import FOUND, IN_SYNC, UNREADABLE
from tenantry.commands.output import is_quiet
from tenantry.drift import Report, reports
from tenantry.drift.history import History
from tenantry.drift.reports import terminal
from tenantry.errors import TenantryError
from tenantry.files import write_private
from tenantry.terminal import Terminal

Format = Literal["table", "json", "csv", "html", "sarif"]


def check_output(output: Path | None) -> None:
    """Check that the output file can be written, before the report is made.

    Raises:
        TenantryError: it is a folder, its folder does not exist, or it is not writable.
    """
    if output is None:
        return
    if output.is_dir():
        raise TenantryError(f"--output: {output} is a folder; give the path of a file.")
    if not output.parent.is_dir():
        raise TenantryError(f"--output: folder {output.parent} does not exist; create it first.")
    if not os.access(output if output.exists() else output.parent, os.W_OK):
        raise TenantryError(f"--output: {output} cannot be written: permission denied.")


def write(
    report: Report, history: History, format: Format, output: Path | None, *, full: bool = False
) -> None:
    """Print a report, or write it to a file.

    Args:
        report: the report.
        history: the history including the report's run.
        format: the format of the report.
        output: the file of the report; if it is None, the report is printed.
        full: in the table, show every finding, without grouping.

    Raises:
        TenantryError: the file cannot be written.
    """
    if format == "table":
        if is_quiet() and not output:
            return
        console = Terminal(width=None if sys.stdout.isatty() and not output else 160, record=True)
        with console.capture() as captured:
            console.print(terminal.table(report, history, full=full))
        text = captured.get()
    else:
        text = reports.write(format, report, history)
    if output:
        try:
            if _is_replaceable(output):
                write_private(output.resolve(), text.encode())
            else:
                output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise TenantryError(
                f"--output: cannot write the report to {output}: {error.strerror}. Free disk space "
                "or choose another file, and run the command again."
            ) from None
    else:
        typer.echo(text, nl=False)


def _is_replaceable(output: Path) -> bool:
    """Return whether a new file can replace the output, which /dev/stdout and mounts do not allow."""
    path = output.resolve()
    is_file = path.is_file() or not path.exists()
    return is_file and not path.is_mount() and os.access(path.parent, os.W_OK)


def status(report: Report) -> int:
    """Return the exit status for a report."""
    if report.unreadable:
        return UNREADABLE
    return FOUND if report.findings else IN_SYNC
