"""What the commands that change systems have in common: the confirmation, the locks, the progress."""

import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from tenantry.commands.output import ask, fail, is_quiet
from tenantry.declared.ended import find_ended
from tenantry.errors import TenantryError
from tenantry.locks import Lock, Locks, LockUnusable, find_locks
from tenantry.resources import PLATFORM
from tenantry.terminal import Terminal

SHARD = 25
"""How many teams share a lock, as in the flows: their locks are held while all of them are changed."""

T = TypeVar("T")


class Writer:
    """A command that changes systems: it asks a person first, and takes the locks of the flows."""

    def __init__(self, folder: Path, *, yes: bool, without_lock: bool) -> None:
        """
        Args:
            folder: the declared state.
            yes: change without a confirmation.
            without_lock: see `find_locks`.

        Raises:
            TenantryError: nobody can confirm, or no locks are found. Nothing was called yet.
        """
        if not yes and not sys.stdin.isatty():
            raise TenantryError(
                "This command asks for a confirmation, and its input is not a terminal. Give --yes to "
                "make the changes without one."
            )
        self._folder = folder
        self._yes = yes
        self._locks: Locks = find_locks(without_lock=without_lock)

    def confirm(self, question: str) -> bool:
        """Return whether a person answers with yes, or has done so with --yes."""
        if self._yes:
            return True
        if ask(f"{question} Only 'yes' is accepted: ") == "yes":
            return True
        fail("Nothing was changed.")
        return False

    def lock(self, teams: Collection[str]) -> Lock:
        """Return the lock of some teams. It refuses a team that was offboarded meanwhile."""

        def check_ended() -> None:
            ended = find_ended(self._folder, [team for team in teams if team != PLATFORM])
            if ended:
                raise LockUnusable(
                    ended,
                    f"lock of team {', '.join(ended)}",
                    "the team was offboarded after this command had read the declared state",
                    "Nothing was changed for the team. No action is needed.",
                )

        return self._locks(teams, check_ended)


class Part(Protocol):
    """A part of a batch: the plan or the outcome of a team, or of a robot."""

    @property
    def name(self) -> str:
        """The part, unique in the batch."""

    @property
    def team(self) -> str:
        """The team whose lock the part needs."""


P = TypeVar("P", bound=Part)


def run_shard(
    parts: Sequence[P],
    work: Callable[[list[P]], object],
    is_done: Callable[[P], bool],
    failed: Callable[[P, TenantryError], object],
) -> None:
    """Do the parts of a shard. Teams whose lock cannot be taken fail, and the others are done.

    Args:
        parts: the parts.
        work: does parts.
        is_done: whether the result of a part is known.
        failed: called for each part that could not be begun.
    """
    while left := [part for part in parts if not is_done(part)]:
        try:
            work(left)
            return
        except LockUnusable as error:
            for part in left:
                if part.team in error.teams:
                    failed(part, error)
        except TenantryError as error:
            for part in left:
                if not is_done(part):
                    failed(part, error)


def in_shards(parts: Sequence[T]) -> list[Sequence[T]]:
    """Return the parts that share a lock."""
    return [parts[first : first + SHARD] for first in range(0, len(parts), SHARD)]


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a progress bar on a terminal, and nothing elsewhere. The function counts one part."""
    console = Terminal(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, console=console, transient=True, disable=is_quiet() or not console.is_terminal
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)
