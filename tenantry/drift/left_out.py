"""Findings about faulty files of the declared state, whose teams are left out of the run."""

from collections.abc import Iterable, Iterator, Sequence

from tenantry.declared import Declaration, Location
from tenantry.declared.state import location_of
from tenantry.drift.findings import DECLARED, Finding
from tenantry.drift.severity import severity
from tenantry.kinds import Kind
from tenantry.resources import PLATFORM, Id

_SHOWN = 5


def left_out(state: Declaration, names: Iterable[str] | None, check: str = "") -> Iterator[Finding]:
    """Return one finding for each left-out team file, at the line of its first fault.

    Args:
        state: the declared state.
        names: the requested teams; all if not given.
        check: the name of the check that the findings belong to; empty for drift.
    """
    asked = None if names is None else set(names)
    for each in state.left_out:
        if asked is None or asked & set(each.names):
            team = each.names[0] if each.names else PLATFORM
            reason = "its team is left out and was not compared: " if team else ""
            yield _finding("team file", each.file, team, each.location, each.faults, reason, check)
    if asked is None and state.other_faults:
        where = location_of(state.other_faults[0])
        yield _finding("platform file", where.file, PLATFORM, where, state.other_faults, "", check)


def _finding(
    kind: str,
    file: str,
    team: str,
    where: Location,
    faults: Sequence[str],
    reason: str,
    check: str,
) -> Finding:
    id = Id(Kind(DECLARED, kind), file)
    more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    return Finding(
        "unreadable",
        severity("unreadable", id),
        id,
        team,
        where,
        detail=f"{reason}{'; '.join(faults[:_SHOWN])}{more}",
        check=check,
        advice=f"Correct {file}." if check else "",
    )
