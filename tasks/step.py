"""What all our tasks have in common: when one is tried again, and how one fails."""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Generic, ParamSpec, TypeVar, cast

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import PrefectFuture
from prefect.runtime import task_run

from tasks.states import fail
from tenantry.errors import (
    DependencyUnread,
    InvalidResponse,
    NotEffective,
    SystemUnavailable,
    TenantryError,
    as_tenantry_error,
)

P = ParamSpec("P")
T = TypeVar("T")


class TeamsFailed(TenantryError):
    """Some of a shard's teams failed for good; each has its line."""


class TeamsLeft(TeamsFailed):
    """Some of a shard's teams failed after something that may pass."""


RETRIED = (SystemUnavailable, NotEffective, TeamsLeft)
"""Errors after which a task is tried again."""
DELAYS = [2, 4, 8, 16, 25, 25, 25]
"""Seconds between the tries, on average: Prefect draws each at random around its value.

Even the shortest that it draws add up to more than 60 s, so that one run survives an outage of a
minute. The last ones are equal so that a run continues soon after a system has come back.
"""
JITTER = 0.5
"""Prefect's jitter factor: a waiting time is up to this part longer than its average."""


def may_pass(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Whether a task's failure may be gone at the next try.

    Time-outs, resets, 429, 502, 503, 504, Harbor's and Keycloak's 500, a lost answer,
    someone who was faster, a write that did not take. Not a refusal: it would be the same again.
    """
    try:
        state.result()
    except RETRIED:
        return True
    except Exception:  # noqa: BLE001 a fault of ours, whatever it is, is no better next time
        return False
    return False


class Step(Generic[P, T]):
    """A Prefect task that is called like the function it is made of."""

    def __init__(self, task: Task[P, T], plain: Callable[P, T]) -> None:
        self._task = task
        self.plain = plain
        """The function itself, without Prefect."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs the task, and raises what made it fail."""
        return self._task(*args, **kwargs, return_state=True).result()

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> PrefectFuture[T]:
        """Runs the task beside others."""
        return self._task.submit(*args, **kwargs)


def step(name: str, run_name: str | None = None) -> Callable[[Callable[P, T]], Step[P, T]]:
    """Makes a task of a function that looks at the systems or changes them.

    It is never cached, and what it returns is never stored. It is tried again, with growing delays, after what may pass. A
    refusal ends it as Failed with the refusal's own words: raising would do that too, with
    a traceback in the log that tells an operator nothing. An unexpected error ends it as Failed as
    well; where it was raised is in the log.

    Args:
        name: the task's name in the UI.
        run_name: a template for its runs' names, with the function's parameters.
    """

    def decorate(work: Callable[P, T]) -> Step[P, T]:
        @wraps(work)
        def task(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return work(*args, **kwargs)
            except RETRIED:
                raise
            except Exception as error:  # noqa: BLE001 a bug of ours is a failure with a message, too
                failure = as_tenantry_error(error, f"running the task '{name}'")
                return cast(T, fail(str(failure), data=failure))

        made = Task(
            task,
            name=name,
            task_run_name=run_name or name,
            cache_policy=NO_CACHE,
            persist_result=False,
            retries=len(DELAYS),
            retry_delay_seconds=[float(delay) for delay in DELAYS],
            retry_jitter_factor=JITTER,
            retry_condition_fn=may_pass,
        )
        return Step(made, work)

    return decorate


def run_as_task(name: str, work: Callable[[bool], T], /) -> T:
    """Run a step of a walk as a task, which is tried again after what may pass.

    Args:
        name: the name of the task and of its run.
        work: the step; it is told whether it has been tried before.

    Raises:
        TenantryError: the step failed.
    """
    return step(name)(lambda: work(is_retry()))()


def submit_as_task(name: str, work: Callable[[bool], T], /) -> PrefectFuture[T]:
    """Start a step as a task that runs concurrently with others; see `run_as_task`."""
    return step(name)(lambda: work(is_retry())).submit()


def is_retry() -> bool:
    """Whether the running task has been tried before: what was seen then may be old."""
    return (task_run.run_count or 1) > 1


def is_last_try() -> bool:
    """Whether the running task is not tried again if it fails now."""
    return (task_run.run_count or 1) > len(DELAYS)


def look_again_after(errors: Iterable[TenantryError]) -> None:
    """Raise the first error that may pass, so that the running task looks again; none on its last try.

    An observation records what it cannot read and continues, so that one team's fault does not stop
    the others. During an outage that would leave teams out that the next try can read. Two kinds
    are recorded at once, since they are most likely the same on the next try: an odd answer, and
    what depends on something else that could not be read.

    Args:
        errors: why parts could not be read.

    Raises:
        TenantryError: the first that may pass.
    """
    for error in errors:
        lasts = isinstance(error, (InvalidResponse, DependencyUnread))
        if isinstance(error, RETRIED) and not lasts and not is_last_try():
            raise error
