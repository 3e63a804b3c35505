"""The command `tenantry rotate`."""

import getpass
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table
from rich.text import Text

from tenantry import declared
from tenantry.commands.exit_status import FAILED, NOTHING_TO_DO
from tenantry.commands.output import fail, give, say_skipped
from tenantry.commands.tables import show
from tenantry.commands.writing import Writer, in_shards, progress, run_shard
from tenantry.contexts import connections
from tenantry.files import FolderStore
from tenantry.rotation import Outcome, RotationRequest, RotationRun, report
from tenantry.rotation.audit import Trail
from tenantry.rotation.selection import pick, refuse_unknown
from tenantry.systems.settle import connect
from tenantry.text import json_text
from tenantry.wording import count


def run(
    folder: Path,
    team: list[str] | None,
    purpose: list[str] | None,
    context: str | None,
    beyond: tuple[bool, bool, str],
    audit: Path | None,
    *,
    yes: bool,
    as_json: bool,
    without_lock: bool,
    dry_run: bool,
) -> int:
    """Rotate the credentials that are due after a confirmation, and return the exit status.

    Args:
        folder: the declared state.
        team: the names of the teams; all if it is None.
        purpose: the purposes of the robots; all if it is None.
        context: the context of the connection file.
        beyond: what is requested beyond the policy: `force`, `compromised` and `reason` of a
            `RotationRequest`.
        audit: the folder of the audit trail; None for none.
        yes: rotate without a confirmation.
        as_json: print JSON instead of a table.
        without_lock: no flow can run meanwhile.
        dry_run: only show what is due.

    Raises:
        TenantryError: the declared state is faulty, a system cannot be read, or the audit trail cannot
            be written.
    """
    writer = None if dry_run else Writer(folder, yes=yes, without_lock=without_lock)
    request = RotationRequest(datetime.now(UTC), *beyond)
    state = declared.read(folder)
    refuse_unknown(purpose, pick(state, team), state)
    say_skipped(state, team)
    with connect(connections(context), state, keycloak=False) as systems:
        rotation = RotationRun(systems, pick(systems.state, team), request, team, purposes=purpose)
        outcomes = rotation.plan(datetime.now(UTC))
        trail = Trail(None, "", "", request, rotation.now)
        if not as_json:
            _show(outcomes, rotation.now)
        due = [outcome for outcome in outcomes if outcome.steps]
        if writer is not None and due:
            if not writer.confirm(_question(due)):
                return FAILED
            store = FolderStore(audit) if audit else None
            trail = Trail(store, uuid.uuid4().hex, getpass.getuser(), request, rotation.now)
            outcomes = _rotate(rotation, outcomes, writer, trail)
            if not as_json:
                _show(outcomes, rotation.now)
    if as_json:
        give(json_text(report.rows(outcomes, rotation.now)))
    problems = report.problems(rotation, trail, outcomes)
    for problem in problems:
        fail(problem)
    return FAILED if problems else NOTHING_TO_DO


def _question(due: Sequence[Outcome]) -> str:
    dying = sum(outcome.why == "compromised" or "kill" in outcome.steps for outcome in due)
    if not dying:
        return f"Change {count(len(due), 'credential')}?"
    return (
        f"Change {count(len(due), 'credential')}? {dying} of them are deleted before new ones are in "
        "place: pulls and pushes fail until the clients have loaded the new ones."
    )


def _rotate(
    rotation: RotationRun, planned: Sequence[Outcome], writer: Writer, trail: Trail
) -> list[Outcome]:
    results = {outcome.name: outcome for outcome in planned}
    ended: set[str] = set()
    by_team: dict[str, list[Outcome]] = {}
    for outcome in planned:
        if outcome.steps:
            by_team.setdefault(outcome.team, []).append(outcome)
    total = sum(map(len, by_team.values()))
    with progress("Rotating credentials", total) as count_one:

        def finished(outcome: Outcome) -> None:
            results[outcome.name] = outcome
            ended.add(outcome.name)
            trail.add(outcome, datetime.now(UTC))
            count_one()

        def rotate_shard(left: list[Outcome]) -> None:
            lock = writer.lock(sorted({outcome.team for outcome in left}))
            rotation.rotate(left, datetime.now(UTC), lock, on_outcome=finished)

        for shard in in_shards(list(by_team.values())):
            run_shard(
                [outcome for pairs in shard for outcome in pairs],
                rotate_shard,
                lambda outcome: outcome.name in ended,
                lambda outcome, error: finished(outcome.failed(error)),
            )
    return [results[outcome.name] for outcome in planned]


def _show(outcomes: Sequence[Outcome], now: datetime) -> None:
    rows = report.rows(outcomes, now)
    shown = Table(expand=False)
    for column in rows[0] if rows else ():
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(cell) for cell in row.values()))
    if rows:
        show(shown)
    show(Text(report.summary(outcomes), style="bold"))
