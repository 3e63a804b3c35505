"""Findings about teams that are being offboarded: what should be revoked and is not."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from tenantry.declared import Team
from tenantry.declared.offboarding import KEY
from tenantry.drift.findings import TEAM, Finding, FindingClass, SystemName
from tenantry.drift.severity import severity
from tenantry.errors import TenantryError
from tenantry.offboarding.plan import Kept
from tenantry.offboarding.revocation import Revocation
from tenantry.plan import Change
from tenantry.resources import Id
from tenantry.systems.systems import Systems
from tenantry.walk import accept_unread, run_directly


def offboarded_teams(systems: Systems, names: Sequence[str] | None) -> list[Team]:
    """Return the teams of a run that are being offboarded.

    Args:
        systems: the systems.
        names: the names of the teams of the run; all if not given.
    """
    found = systems.state.offboarding
    return [team for name, team in found.items() if names is None or name in names]


def find_unrevoked(
    systems: Systems,
    team: Team,
    system_names: Sequence[SystemName],
    check_unread: Callable[[Iterable[TenantryError]], None] = accept_unread,
) -> list[Finding]:
    """Observe a team that is being offboarded, and return one finding for each access that it has.

    Args:
        systems: the systems.
        team: the team.
        system_names: the systems to report on.
        check_unread: called with the errors of unreadable parts.

    Raises:
        TenantryError: the team cannot be read at all, or `check_unread` raised it.
    """
    walk = Revocation(systems, team, run_directly, check_unread, adopted=False)
    plan = walk.plan()
    failure = walk.observed.failure(team.name)
    found = [
        *_findings(systems, team, plan.changes, system_names),
        *_still_given(systems, team, walk.kept, system_names),
    ]
    return found if failure is None else [*found, unreadable(systems, team, failure)]


def _findings(
    systems: Systems, team: Team, changes: Iterable[Change], system_names: Sequence[SystemName]
) -> Iterator[Finding]:
    for change in changes:
        if change.id.system not in system_names:
            continue
        class_: FindingClass = "extra" if change.action == "delete" else "changed"
        yield Finding(
            class_,
            "critical" if change.id.kind.grants_access else "warning",
            change.id,
            team.name,
            systems.state.locate(team.name, (KEY,)),
            change.differences,
            detail="its team is being offboarded, and this is not revoked",
            marked=True,
            advice=f"Run offboard-team for '{team.name}' again, which revokes it.",
        )


def _still_given(
    systems: Systems, team: Team, kept: Iterable[Kept], system_names: Sequence[SystemName]
) -> Iterator[Finding]:
    """Yield a finding for each resource that still gives access, and that a revocation does not change."""
    for each in kept:
        if each.grants_access and each.id.system in system_names:
            yield Finding(
                "extra",
                "critical" if each.id.kind.grants_access else "warning",
                each.id,
                team.name,
                systems.state.locate(team.name, (KEY,)),
                detail=f"its team is being offboarded, and this still gives access: {each.reason}",
                advice="No run changes it. Disable or delete it by hand.",
            )


def unreadable(systems: Systems, team: Team, error: TenantryError) -> Finding:
    """Return the finding that a team that is being offboarded cannot be read."""
    where = systems.state.locate(team.name, (KEY,))
    id = Id(TEAM, team.name)
    return Finding(
        "unreadable", severity("unreadable", id), id, team.name, where, detail=str(error)
    )
