"""When a task is tried again: after what may pass, never after what will not."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Failed

from tenantry.errors import BrokenPromise, SystemUnavailable, TenantryError

P = ParamSpec("P")
T = TypeVar("T")

DELAYS = [2, 4, 8, 16]
"""Seconds between the tries, to which up to half as much is added at random."""


def may_pass(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Whether a task's failure may be gone at the next try.

    Time-outs, resets, 429, 502, 503, 504, Harbor's and Keycloak's 500, a lost answer,
    someone who was faster, a write that did not take. Not a refusal: it would be the same again.
    """
    try:
        state.result()
    except (SystemUnavailable, BrokenPromise):
        return True
    except Exception:  # noqa: BLE001 a fault of ours, whatever it is, is no better next time
        return False
    return False


RETRY: dict[str, Any] = {
    "retries": len(DELAYS),
    "retry_delay_seconds": DELAYS,
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": may_pass,
}
"""The retry policy of every task that talks to a system."""


def refusals_fail(work: Callable[P, T]) -> Callable[P, T]:
    """Lets a task end as Failed, with the error's message, where trying again is of no use.

    Raising would do that too, with a traceback in the log that tells an operator nothing. What
    may pass is raised still, so that the retry policy sees it.
    """

    @wraps(work)
    def task(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return work(*args, **kwargs)
        except (SystemUnavailable, BrokenPromise):
            raise
        except TenantryError as error:
            return cast(T, Failed(message=str(error), data=error))

    return task
