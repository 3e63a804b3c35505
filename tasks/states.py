"""The final states of runs. Their messages are shown in the UI, and by Prefect's command line."""

from typing import Any

from prefect import states
from prefect.client.schemas.objects import State

from tenantry.text import visible


def complete(message: str) -> State[Any]:
    """Return the state of a run that did its work."""
    return states.Completed(message=visible(message))


def fail(message: str, data: Any = None) -> State[Any]:
    """Return the state of a run that did not do all of its work."""
    return states.Failed(message=visible(message), data=data)
