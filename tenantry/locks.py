"""The interface of a lock, which keeps other processes from changing teams.

The runs of Prefect use `tasks.locks`; another scheduler needs another implementation.
"""

from types import TracebackType
from typing import Protocol


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
