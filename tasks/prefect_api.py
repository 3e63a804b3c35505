"""Calls to Prefect's own API: those that a run needs, and those that only publish something.

Prefect's client retries a call that is answered with 429, 502 or 503, or not at all. Errors are raised
here after its last try.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
from prefect.client.orchestration import get_client
from prefect.events import emit_event
from prefect.exceptions import MissingContextError, PrefectException
from prefect.logging import get_logger, get_run_logger
from prefect.runtime import flow_run

from tenantry.errors import SystemRefused, SystemUnavailable, as_tenantry_error
from tenantry.text import visible_values

Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]
_TRANSIENT = (408, 429)


@contextmanager
def needed(what: str) -> Iterator[None]:
    """Turn an error of Prefect's API into one of Tenantry's, which the run's state explains.

    Args:
        what: what is asked of Prefect, such as `read block 'x'`.

    Raises:
        SystemUnavailable: it did not answer, or with an error that may pass.
        SystemRefused: it refused.
    """
    try:
        yield
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        kind = SystemRefused if status < 500 and status not in _TRANSIENT else SystemUnavailable
        advice = "See the log of Prefect's server, and start the run again."
        raise kind("prefect", what, "the API failed", status=status, advice=advice) from None
    except httpx.HTTPError as error:
        reason = f"no answer ({type(error).__name__})"
        advice = "See whether Prefect's server is up, and start the run again."
        raise SystemUnavailable("prefect", what, reason, advice=advice) from None


def created() -> datetime:
    """Return when the run was created: it stays the same if the run is started again."""
    with needed("read the flow run"), get_client(sync_client=True) as client:
        at = client.read_flow_run(flow_run.id).created
    return at or datetime.now(UTC)


@contextmanager
def best_effort(what: str) -> Iterator[None]:
    """Log a warning if something could not be published: the work of the run does not depend on it.

    Args:
        what: what is published, such as `artifact 'robots'`.
    """
    try:
        yield
    except (httpx.HTTPError, PrefectException) as error:
        status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else None
        reason = f"it answered {status}" if status else type(error).__name__
        text = "Cannot publish %s through Prefect's API: %s. The run continues without it."
        run_logger().warning(text, what, reason)
    except Exception as error:  # noqa: BLE001 what was done must still be reported
        run_logger().warning("%s", as_tenantry_error(error, f"publishing {what}"))


def emit(
    event: str,
    resource: Mapping[str, str],
    payload: Mapping[str, Any] | None = None,
    related: Sequence[Mapping[str, str]] = (),
) -> None:
    """Emit an event, best effort: one that is too large is dropped with a warning.

    Invisible characters are made visible: notifications quote the text.
    """
    with best_effort(f"event '{event}'"):
        emit_event(
            event,
            resource=visible_values(resource),
            payload=visible_values(payload or {}),
            related=visible_values(related),
        )


def run_logger() -> Logger:
    """Return the logger of the run; outside a run, a logger of Prefect."""
    try:
        return get_run_logger()
    except MissingContextError:
        return get_logger("tenantry")
