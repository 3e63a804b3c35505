"""The interface of a lock, which keeps other processes from changing teams.

The runs of Prefect use `tasks.locks`, and the command line finds the same locks by the entry point
`tenantry.locks`, so that a command and a run never change the same team at the same time. Another
scheduler needs another implementation.
"""

import os
from collections.abc import Callable, Collection
from importlib.metadata import entry_points
from types import TracebackType
from typing import Protocol

from tenantry.errors import SystemRefused, TenantryError

API = "PREFECT_API_URL"
"""The environment variable with the address of Prefect's API, where the runs take their locks."""


class LockUnusable(SystemRefused):
    """A lock cannot be taken until an operator changes something.

    Attributes:
        teams: the owners of the lock; the locks of the other teams are usable.
    """

    def __init__(self, teams: Collection[str], call: str, reason: str, advice: str) -> None:
        super().__init__("prefect", call, reason, advice=advice)
        self.teams = list(teams)


class Lock(Protocol):
    """A context manager that keeps other processes from changing some teams while the context lasts."""

    def __enter__(self) -> object:
        """Take the lock, and wait while another process holds it."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        """Release the lock."""

    def hold(self) -> None:
        """Take the lock again if it is lost: earlier observations are out of date then.

        Raises:
            TenantryError: it could not be taken.
        """

    def check(self) -> None:
        """Check that the lock is held. It is called before each change.

        Raises:
            TenantryError: it is lost, or may be lost soon: nothing may be written any more.
        """


class NoLock:
    """A lock where no other process is at work."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def hold(self) -> None:
        """Do nothing: this lock is never lost."""

    def check(self) -> None:
        """Do nothing: this lock is never lost."""


Locks = Callable[[Collection[str], Callable[[], None]], Lock]
"""Returns the lock of some teams. It calls the function each time the lock is taken."""


def find_locks(*, without_lock: bool = False) -> Locks:
    """Return the function that returns the locks of a command that writes.

    Args:
        without_lock: no other process changes teams meanwhile, so no lock is needed.

    Raises:
        TenantryError: `PREFECT_API_URL` is not set, or the installation has no implementation.
    """
    if without_lock:
        return lambda teams, confirm: _Unlocked(confirm)
    if not os.environ.get(API):
        raise TenantryError(
            f"{API} is not set. A command that writes takes the same locks in Prefect as the flows do, "
            "so that the two never change the same team at the same time. Set it to the address of "
            "Prefect's API. If no flow can run meanwhile, give --without-lock."
        )
    (found,) = entry_points(group="tenantry.locks", name="prefect") or (None,)
    if found is None:
        raise TenantryError(
            "Tenantry is not installed as a package: its entry point 'tenantry.locks' is missing. "
            "Install it with 'make setup' or pip."
        )
    locks: Locks = found.load()
    return locks


class _Unlocked(NoLock):
    def __init__(self, confirm: Callable[[], None]) -> None:
        self._confirm = confirm

    def __enter__(self) -> None:
        self._confirm()
