"""The command `tenantry drift`."""

from pathlib import Path

from rich.table import Table
from rich.text import Text

from tenantry import declared
from tenantry.commands.exit_status import FAILED
from tenantry.commands.output import fail, say_skipped, warn
from tenantry.commands.reports import Format, check_output, status, write
from tenantry.commands.tables import show
from tenantry.commands.writing import Writer, in_shards, progress, run_shard
from tenantry.contexts import connections
from tenantry.drift import SYSTEMS, SystemName
from tenantry.drift.detect import Detected
from tenantry.drift.history import History
from tenantry.drift.remedy import Order, Remediate, Remedy
from tenantry.drift.run import Remediated, find_drift, remediate
from tenantry.drift.run import remediate_teams as remediate_some
from tenantry.errors import DeclarationError
from tenantry.files import FolderStore
from tenantry.outcomes import NotApproved
from tenantry.systems.settle import connect
from tenantry.systems.systems import Systems
from tenantry.wording import count


def run(
    folder: Path,
    team: list[str] | None,
    system: list[str] | None,
    format: Format,
    output: Path | None,
    history: Path | None,
    context: str | None,
    remediation: tuple[Remediate, list[str] | None],
    *,
    probe: bool,
    full: bool,
    yes: bool,
    without_lock: bool,
) -> int:
    """Write the report on drift, remediate the drift if asked to, and return the exit status.

    Args:
        folder: the declared state.
        team: the names of the teams; all if it is None.
        system: the systems; all if it is None.
        format: the format of the report.
        output: the file of the report; if it is None, the report is printed.
        history: the folder with the history of findings.
        context: the context of the connection file.
        remediation: what to remediate, and the ids of further extra resources to remove: see
            `tenantry.drift.remedy.choose`.
        probe: whether to test the robots' credentials by a login.
        full: in the table, show every finding, without grouping.
        yes: remediate without a confirmation.
        without_lock: no flow can run meanwhile.

    Raises:
        TenantryError: the declared state or an option is faulty, or a system cannot be read.
    """
    remediate, remove = remediation
    writer = None
    if remediate != "none" or remove:
        writer = Writer(folder, yes=yes, without_lock=without_lock)
    state = declared.read(folder)
    state.pick(team)
    say_skipped(state, team)
    asked = _systems(system)
    check_output(output)
    store = FolderStore(history) if history else None
    past = History.read(store) if store else History.empty()
    with connect(connections(context), state, probe_credentials=probe, extras=True) as systems:
        detected = find_drift(systems, team, asked)
        failed = False
        if writer is not None:
            order = Order(remediate, tuple(remove or ()), asked)
            failed = not _remediate(systems, detected, order, team, writer)
            detected = find_drift(systems, team, asked)
        report = detected.report
    now = past.after(report)
    write(report, now, format, output, full=full)
    if store:
        now.write(store)
    return FAILED if failed else status(report)


def _remediate(
    systems: Systems, detected: Detected, order: Order, names: list[str] | None, writer: Writer
) -> bool:
    """Remediate drift after a confirmation, and return whether nothing failed."""

    def approve(remedy: Remedy) -> bool:
        # The report is the output; the changes are part of the question.
        show(_table(remedy), width=160, err=True)
        if not writer.confirm(f"Make {count(len(remedy.changes), 'change')}?"):
            raise NotApproved("The drift was not remediated.")
        return True

    def remediate_teams(remedy: Remedy, order: Order, *, approved: bool) -> list[Remediated]:
        results: dict[str, Remediated] = {}
        # First the declared teams: the first one's changes include those that teams share.
        teams = sorted(remedy.teams, key=lambda team: team not in systems.state.teams)
        with progress("Remediating teams", len(teams)) as count_one:

            def finished(result: Remediated) -> None:
                results[result.team] = result
                count_one()

            def remediate_shard(left: list[Remediated]) -> None:
                shard = [result.team for result in left]
                remediate_some(
                    systems,
                    remedy.of(shard),
                    order,
                    writer.lock(shard),
                    approved=approved,
                    finished=finished,
                )

            for shard in in_shards(teams):
                run_shard(
                    [Remediated(team) for team in shard],
                    remediate_shard,
                    lambda result: result.team in results,
                    lambda result, error: finished(result.failed(error)),
                )
        return list(results.values())

    result = remediate(
        detected,
        order,
        detect_again=lambda: find_drift(systems, names, order.systems),
        remediate_teams=remediate_teams,
        approve=approve,
    )
    errors = [f"{each.name}: {each.error}" for each in result.teams if each.error]
    for line in filter(None, [*errors, str(result.error or ""), result.note]):
        fail(line)
    made = sum(len(each.done) for each in result.teams)
    if made:
        warn(f"{count(made, 'change')} made.")
    return not errors and result.error is None


def _table(remedy: Remedy) -> Table:
    shown = Table(expand=False)
    for column in ("team", "action", "resource", "fields"):
        shown.add_column(column, overflow="fold")
    for row in remedy.rows:
        shown.add_row(*(Text(cell) for cell in row.values()))
    return shown


def _systems(names: list[str] | None) -> tuple[SystemName, ...]:
    unknown = [name for name in names or () if name not in SYSTEMS]
    if unknown:
        known = ", ".join(SYSTEMS)
        raise DeclarationError([f"--system: '{name}': must be one of {known}" for name in unknown])
    return tuple(system for system in SYSTEMS if not names or system in names)
