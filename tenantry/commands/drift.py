"""The command `tenantry drift`."""

from pathlib import Path

from tenantry import declared
from tenantry.commands.output import say_skipped
from tenantry.commands.reports import Format, check_output, status, write
from tenantry.contexts import connections
from tenantry.drift import SYSTEMS, SystemName, detect_drift
from tenantry.drift.history import History
from tenantry.errors import DeclarationError
from tenantry.files import FolderStore
from tenantry.systems.settle import connect


def run(
    folder: Path,
    team: list[str] | None,
    system: list[str] | None,
    format: Format,
    output: Path | None,
    history: Path | None,
    context: str | None,
    *,
    probe: bool,
    full: bool,
) -> int:
    """Write the report on drift, and return the exit status.

    Args:
        folder: the declared state.
        team: the names of the teams; all if it is None.
        system: the systems; all if it is None.
        format: the format of the report.
        output: the file of the report; if it is None, the report is printed.
        history: the folder with the history of findings.
        context: the context of the connection file.
        probe: whether to test the robots' credentials by a login.
        full: in the table, show every finding, without grouping.

    Raises:
        TenantryError: the declared state or an option is faulty, or a system cannot be read.
    """
    state = declared.read(folder)
    state.pick(team)
    say_skipped(state, team)
    asked = _systems(system)
    check_output(output)
    store = FolderStore(history) if history else None
    past = History.read(store) if store else History.empty()
    with connect(connections(context), state, probe_credentials=probe, extras=True) as systems:
        report = detect_drift(systems, team, asked)
    now = past.after(report)
    write(report, now, format, output, full=full)
    if store:
        now.write(store)
    return status(report)


def _systems(names: list[str] | None) -> tuple[SystemName, ...]:
    unknown = [name for name in names or () if name not in SYSTEMS]
    if unknown:
        known = ", ".join(SYSTEMS)
        raise DeclarationError([f"--system: '{name}': must be one of {known}" for name in unknown])
    return tuple(system for system in SYSTEMS if not names or system in names)
