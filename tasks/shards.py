"""Teams of a batch that share a task, since a task each would cost the server more."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from prefect.futures import PrefectFuture, wait

from tenantry.calls import MAX_CONCURRENT_CALLS
from tenantry.errors import TenantryError, as_tenantry_error

ALONE = 12
"""Up to so many teams have a task each; more share one, which costs the server less."""
SHARD = 25
"""Teams that share a task, and a lock's call."""
SHARDS_AT_ONCE = 2
"""While one shard looks and is locked, another writes."""

T = TypeVar("T")


class Unfinished(Protocol):
    """A shard, in which something may be left undone."""

    def give_up(self, error: TenantryError) -> None:
        """Takes down why the rest was not done."""


S = TypeVar("S", bound=Unfinished)


def named(teams: Sequence[str]) -> str:
    """Which teams a shard has, in the name of its task."""
    return teams[0] if len(teams) == 1 else f"{len(teams)} teams, {teams[0]} to {teams[-1]}"


def parts(teams: Sequence[T]) -> tuple[list[Sequence[T]], bool]:
    """What there is to do for teams, in the parts that share a task; and whether each is alone."""
    alone = len(teams) <= ALONE
    size = 1 if alone else SHARD
    return [teams[first : first + size] for first in range(0, len(teams), size)], alone


def run_all(
    shards: Sequence[S],
    alone: bool,
    submit: Callable[[S], PrefectFuture[None]],
    shown: Callable[[], None] = lambda: None,
) -> None:
    """Runs a task for each shard, some at once.

    What a shard's task ended with is the end of what it did not get to.

    Args:
        shards: the shards.
        alone: whether each has a single team: more of them run at once.
        submit: starts a shard's task.
        shown: is called at least every half a second.
    """
    at_once = MAX_CONCURRENT_CALLS if alone else SHARDS_AT_ONCE
    waiting, running = deque(shards), dict[PrefectFuture[None], S]()
    while waiting or running:
        while waiting and len(running) < at_once:
            shard = waiting.popleft()
            running[submit(shard)] = shard
        for future in wait(list(running), timeout=0.5).done:
            shard = running.pop(future)
            error = future.result(raise_on_failure=False)
            if isinstance(error, Exception):
                shard.give_up(as_tenantry_error(error, "running a task"))
        shown()
