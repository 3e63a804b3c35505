"""Batches of teams: shards that share a task, a few of which run at the same time.

A task for each team would cost the server more. Onboarding, remediation and rotation use this.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, Self, TypeVar

from prefect.futures import PrefectFuture, wait

from tasks.step import RETRIED, TeamsFailed, TeamsLeft
from tenantry.calls import MAX_CONCURRENT_CALLS
from tenantry.errors import TenantryError, as_tenantry_error
from tenantry.locks import LockUnusable

ALONE = 12
"""Up to this many teams have a task each; more share tasks, which costs the server less."""
SHARD = 25
"""How many teams share a task, and a call that takes their locks."""
SHARDS_AT_ONCE = 2
"""How many shards run at the same time: while one observes and waits for its locks, another writes."""

T = TypeVar("T")


class Result(Protocol):
    """The result of one part of a batch: of a team, or of a pair of robots."""

    @property
    def name(self) -> str:
        """The part, as messages name it; unique in the batch."""

    @property
    def team(self) -> str:
        """The team whose lock the part needs."""

    @property
    def error(self) -> TenantryError | None:
        """What stopped it."""

    def after(self, earlier: Self) -> Self:
        """Return this result together with that of an earlier try."""

    def failed(self, error: TenantryError) -> Self:
        """Return the result of a try that failed before the first change."""


R = TypeVar("R", bound=Result)


class Shard(Generic[R]):
    """The part of a batch that one task does, and its results so far. Safe to use from many threads."""

    def __init__(self, planned: Sequence[R]) -> None:
        """
        Args:
            planned: the results before the first try.
        """
        self.results = {result.name: result for result in planned}
        self._left = dict.fromkeys(self.results)

    @property
    def name(self) -> str:
        """The teams of the shard, for the name of its task."""
        teams = list(
            dict.fromkeys(result.team or "the platform" for result in self.results.values())
        )
        return teams[0] if len(teams) == 1 else f"{len(teams)} teams, {teams[0]} to {teams[-1]}"

    @property
    def left(self) -> list[R]:
        """The results that are not final: not done yet, or failed with a transient error."""
        return [self.results[name] for name in list(self._left)]

    @property
    def ended(self) -> int:
        """How many results are final."""
        return len(self.results) - len(self._left)

    def keep(self, result: R) -> R:
        """Add the result of a try, and return it together with those of earlier tries."""
        kept = result.after(self.results[result.name])
        self.results[result.name] = kept
        if not isinstance(result.error, RETRIED):
            self._left.pop(result.name, None)
        return kept

    def run(self, work: Callable[[list[R]], object], finished: Callable[[R], object]) -> None:
        """Do what is left. Teams whose lock cannot be taken fail, and the others are done without them.

        Args:
            work: does these parts; it calls `finished` for each.
            finished: called for each part of a team whose lock cannot be taken.

        Raises:
            TenantryError: `work` raised it.
        """
        while left := self.left:
            try:
                work(left)
                break
            except LockUnusable as error:
                for result in left:
                    if result.team in error.teams:
                        finished(result.failed(error))

    def check(self) -> None:
        """Check that all parts are done.

        Raises:
            TeamsLeft: some parts are left; another try may do them.
            TeamsFailed: some parts failed for good.
        """
        failed = [result for result in self.results.values() if result.error is not None]
        if not failed:
            return
        text = str(failed[0].error)
        if len(self.results) > 1:
            reasons = (f"{result.name}: {result.error}" for result in failed)
            text = "\n".join([f"{len(failed)} of {len(self.results)} failed.", *reasons])
        raise (TeamsLeft if self._left else TeamsFailed)(text)

    def give_up(self, error: TenantryError) -> None:
        """Record why the parts that are left were not done, unless they have an error of their own."""
        for result in self.left:
            self.keep(result.failed(result.error or error))


def divide(teams: Sequence[T]) -> tuple[list[Sequence[T]], int]:
    """Return the parts of teams that share a task, and how many of these tasks run at once."""
    if len(teams) <= ALONE:
        return [teams[first : first + 1] for first in range(len(teams))], MAX_CONCURRENT_CALLS
    return in_shards(teams), SHARDS_AT_ONCE


def in_shards(teams: Sequence[T]) -> list[Sequence[T]]:
    """Return the parts of teams that share a task, however few they are."""
    return [teams[first : first + SHARD] for first in range(0, len(teams), SHARD)]


def run_shards(
    shards: Sequence[Shard[R]],
    at_once: int,
    submit: Callable[[Shard[R]], PrefectFuture[None]],
    show: Callable[[], None] = lambda: None,
) -> dict[str, R]:
    """Run a task for each shard, and return the results by name.

    The error of a task is the error of the parts that the task did not reach.

    Args:
        shards: the shards.
        at_once: how many tasks run at the same time.
        submit: starts the task of a shard.
        show: called at least every half second.
    """
    waiting, running = deque(shards), dict[PrefectFuture[None], Shard[R]]()
    while waiting or running:
        while waiting and len(running) < at_once:
            shard = waiting.popleft()
            running[submit(shard)] = shard
        for future in wait(list(running), timeout=0.5).done:
            shard = running.pop(future)
            error = future.result(raise_on_failure=False)
            if isinstance(error, Exception):
                shard.give_up(as_tenantry_error(error, "running a task"))
        show()
    return {name: result for shard in shards for name, result in shard.results.items()}
