"""What the core asks of a lock: others stay off the teams while it is held.

What it is made of is the business of whoever starts the work: in Prefect's runs it is
`tasks.locks`.
"""

from types import TracebackType
from typing import Protocol


class Lock(Protocol):
    """A context manager that keeps others from changing some teams while the context lasts."""

    def __enter__(self) -> object:
        """Takes the lock, and waits as long as somebody else has it."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        """Gives the lock back."""

    def hold(self) -> None:
        """Take the lock again if it is lost: what was observed before then counts no more.

        Raises:
            TenantryError: it could not be taken.
        """

    def check(self) -> None:
        """Whether the lock is still held; asked before each change.

        Raises:
            TenantryError: it is not, or may soon not be: nothing may be written any more.
        """
