"""The locks of runs that change declared teams. They refuse a team that was offboarded meanwhile."""

from collections.abc import Callable, Collection

from blocks.platform import PlatformBlocks
from tasks.locks import TeamLock
from tenantry.locks import LockUnusable
from tenantry.resources import PLATFORM

Locks = Callable[[Collection[str]], TeamLock]
"""Returns the lock of some teams."""


def active_locks(blocks: PlatformBlocks) -> Locks:
    """Return the function that returns the lock of some teams.

    A run reads the declared state once, and may take a lock much later. If a team was offboarded
    meanwhile, the run would restore what was revoked. So the files are read again under the lock.
    """

    def lock(teams: Collection[str]) -> TeamLock:
        return TeamLock(teams, lambda: _refuse_ended(blocks, teams))

    return lock


def _refuse_ended(blocks: PlatformBlocks, teams: Collection[str]) -> None:
    """Check that no team was offboarded since the declared state was read.

    Raises:
        LockUnusable: some teams were.
        TenantryError: the declared state cannot be read.
    """
    ended = blocks.declared_state.find_ended([team for team in teams if team != PLATFORM])
    if ended:
        names = ", ".join(f"'{name}'" for name in ended)
        raise LockUnusable(
            ended,
            f"lock of team {names}",
            "the team was offboarded after this run had read the declared state",
            "Nothing was changed for the team. No action is needed.",
        )
