"""The common properties of all tasks: which errors are retried, when, and how a task fails."""

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
    """Some parts of a shard failed permanently; the message has a line for each."""


class TeamsLeft(TeamsFailed):
    """Some parts of a shard failed with a transient error."""


RETRIED = (SystemUnavailable, NotEffective, TeamsLeft)
"""Errors after which a task is retried."""
DELAYS = [2, 4, 8, 16, 25, 25, 25]
"""Seconds between the tries, on average: Prefect draws each at random around its value.

Even the shortest that it draws add up to more than 60 s, so that one run survives an outage of a
minute. The last ones are equal so that a run continues soon after a system has come back.
"""
JITTER = 0.5
"""Prefect's jitter factor: a waiting time is up to this part longer than its average."""


def is_transient(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Return whether a task's failure is transient.

    Transient are time-outs, resets, 429, 502, 503, 504, a 500 of Harbor or Keycloak, a lost answer, a
    concurrent change, and a write that was accepted but not persisted. A refusal is not: the next try
    would be refused, too.
    """
    try:
        state.result()
    except RETRIED:
        return True
    except Exception:  # noqa: BLE001 a bug fails again on the next try
        return False
    return False


class Step(Generic[P, T]):
    """A Prefect task that is called like the function that it runs."""

    def __init__(self, task: Task[P, T], plain: Callable[P, T]) -> None:
        self._task = task
        self.plain = plain
        """The function, without Prefect."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the task and return its result; raise the error with which it failed."""
        return self._task(*args, **kwargs, return_state=True).result()

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> PrefectFuture[T]:
        """Start the task, which runs concurrently with others."""
        return self._task.submit(*args, **kwargs)


def step(name: str, run_name: str | None = None) -> Callable[[Callable[P, T]], Step[P, T]]:
    """Return a decorator that makes a task of a function that observes or changes the systems.

    The task is never cached, and its result is never stored. Transient errors are retried, with growing
    delays. After a refusal the task is Failed with the message of the system: a raised error would add a
    traceback to the log that is of no use to an operator. After an unexpected error it is Failed as well,
    and the log names the place where it was raised.

    Args:
        name: the name of the task in the UI.
        run_name: a template for the names of its runs, with the function's parameters.
    """

    def decorate(work: Callable[P, T]) -> Step[P, T]:
        @wraps(work)
        def task(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return work(*args, **kwargs)
            except RETRIED:
                raise
            except Exception as error:  # noqa: BLE001 a bug fails the task with a message, too
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
            retry_condition_fn=is_transient,
        )
        return Step(made, work)

    return decorate


def run_as_task(name: str, work: Callable[[bool], T], /) -> T:
    """Run a step of a walk as a task, which is retried after a transient error.

    Args:
        name: the name of the task and of its run.
        work: the step, called with whether this is a retry.

    Raises:
        TenantryError: the step failed.
    """
    return _step_of(name, work)()


def submit_as_task(name: str, work: Callable[[bool], T], /) -> PrefectFuture[T]:
    """Start a step as a task that runs concurrently with others; see `run_as_task`."""
    return _step_of(name, work).submit()


def _step_of(name: str, work: Callable[[bool], T]) -> Step[[], T]:
    literal = name.replace("{", "{{").replace("}", "}}")  # a name of a team is not a template
    return step(name, literal)(lambda: work(is_retry()))


def is_retry() -> bool:
    """Return whether the running task is a retry: earlier observations may be out of date."""
    return (task_run.run_count or 1) > 1


def is_last_try() -> bool:
    """Return whether the running task is not retried if it fails now."""
    return (task_run.run_count or 1) > len(DELAYS)


def retry_unread(errors: Iterable[TenantryError]) -> None:
    """Raise the first transient error, so that the running task is retried; none on its last try.

    An observation records what it cannot read and continues, so that one team's fault does not stop
    the others. During an outage that would leave teams out that the next try can read. Two kinds of
    errors are not raised, since the next try most likely meets them again: an invalid response, and a
    part that depends on another one that could not be read.

    Args:
        errors: why parts could not be read.

    Raises:
        TenantryError: the first transient error.
    """
    for error in errors:
        permanent = isinstance(error, (InvalidResponse, DependencyUnread))
        if isinstance(error, RETRIED) and not permanent and not is_last_try():
            raise error
