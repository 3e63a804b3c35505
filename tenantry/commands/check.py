"""The command `tenantry check`."""

from pathlib import Path

from tenantry import checks, declared
from tenantry.commands.reports import Format, check_output, status, write
from tenantry.contexts import connections
from tenantry.drift.history import History
from tenantry.systems.settle import connect


def run(folder: Path, format: Format, output: Path | None, context: str | None) -> int:
    """Write the report of the checks, and return the exit status.

    Args:
        folder: the declared state.
        format: the format of the report.
        output: the file of the report; if it is None, the report is printed.
        context: the context of the connection file.

    Raises:
        TenantryError: the declared state or an option is faulty, or a system cannot be read.
    """
    state = declared.read(folder)
    check_output(output)
    with connect(connections(context), state) as systems:
        systems.check(configuring=True)
        report = checks.report(systems, checks.check_all(systems))
    write(report, History.empty(), format, output)
    return status(report)
