"""The command `tenantry status`."""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from tenantry import declared, drift
from tenantry.commands.exit_status import FOUND, IN_SYNC, UNREADABLE
from tenantry.commands.output import give
from tenantry.commands.tables import show
from tenantry.contexts import connections
from tenantry.declared import Declaration
from tenantry.errors import TenantryError
from tenantry.locks import API
from tenantry.rotation import Outcome, RotationRequest, RotationRun
from tenantry.systems.settle import connect
from tenantry.text import json_text

_GOOD = ("", "Completed", "Running", "Scheduled", "Pending", "Late")


def run(folder: Path, context: str | None, days: int, *, as_json: bool) -> int:
    """Print the state of the platform, and return the exit status.

    Args:
        folder: the declared state.
        context: the context of the connection file.
        days: credentials that expire within so many days are listed.
        as_json: print JSON instead of tables.

    Raises:
        TenantryError: the declared state, a system or Prefect cannot be read.
    """
    state = declared.read(folder)
    now = datetime.now(UTC)
    with connect(connections(context), state, extras=True) as systems:
        state = systems.state
        report = drift.detect_drift(systems, None, drift.SYSTEMS)
        rotation = RotationRun(systems, state.pick(None), RotationRequest(now))
        outcomes = rotation.plan(now)
    credentials = [each for each in outcomes if _needs_attention(each, now, days)]
    runs = _last_runs()
    found = {
        "teams": {
            "declared": len(state.teams),
            "being_offboarded": sorted(state.offboarding),
            "faulty": sorted(each.label for each in state.left_out),
        },
        "findings": dict(Counter(finding.severity for finding in report.findings)),
        "credentials": {
            "all": len(outcomes),
            "need_attention": [_credential(each) for each in credentials],
        },
        "last_runs": runs,
    }
    if as_json:
        give(json_text(found))
    else:
        _show(found, state, days)
    if report.unreadable or any(outcome.error for outcome in outcomes):
        return UNREADABLE
    bad_runs = [row for row in runs or () if row["state"] not in _GOOD]
    return FOUND if report.findings or credentials or state.left_out or bad_runs else IN_SYNC


def _needs_attention(outcome: Outcome, now: datetime, days: int) -> bool:
    soon = outcome.expires is not None and outcome.expires < now + timedelta(days=days)
    return soon or outcome.error is not None or outcome.state in ("broken", "failed")


def _credential(outcome: Outcome) -> dict[str, Any]:
    return {
        "team": outcome.team,
        "purpose": outcome.purpose,
        "state": outcome.state,
        "expires": outcome.expires.isoformat() if outcome.expires else None,
        "next_rotation": outcome.next.isoformat() if outcome.next else None,
    }


def _last_runs() -> list[dict[str, Any]] | None:
    """Return the last run of each deployment; None if no Prefect is known."""
    if not os.environ.get(API):
        return None
    (found,) = entry_points(group="tenantry.runs", name="prefect") or (None,)
    if found is None:
        raise TenantryError(
            "Tenantry is not installed as a package: its entry point 'tenantry.runs' is missing. "
            "Install it with 'make setup' or pip."
        )
    last_runs: Callable[[], Sequence[Mapping[str, Any]]] = found.load()
    return [
        {**row, "since": row["since"].isoformat() if row["since"] else None} for row in last_runs()
    ]


def _show(found: dict[str, Any], state: Declaration, days: int) -> None:
    teams, credentials = found["teams"], found["credentials"]
    expiring = len(credentials["need_attention"])
    lines = [
        ("Teams", f"{teams['declared']} declared in {state.origin}"),
        ("", ", ".join(f"{name} is being offboarded" for name in teams["being_offboarded"])),
        ("", ", ".join(f"{name} has a faulty file" for name in teams["faulty"])),
        (
            "Findings",
            ", ".join(f"{number} {severity}" for severity, number in found["findings"].items())
            or "none: the systems are in sync",
        ),
        (
            "Credentials",
            f"{credentials['all']}; {expiring} expire within {days} days, or do not work",
        ),
    ]
    grid = Table.grid(padding=(0, 2))
    for label, value in lines:
        if label or value:
            grid.add_row(Text(label, style="bold"), Text(value))
    show(grid, width=160)
    _table(credentials["need_attention"])
    if found["last_runs"] is None:
        show(Text(f"Last runs: not shown, because {API} is not set", style="dim"), width=160)
    else:
        _table(found["last_runs"])


def _table(rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    shown = Table(expand=False)
    for column in rows[0]:
        shown.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        shown.add_row(*(Text(str(value or "")) for value in row.values()))
    show(shown, width=160)
