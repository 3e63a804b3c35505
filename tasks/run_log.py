"""What the log of a run leaves out: explained tracebacks, repetitions of a bug's, harmful text."""

import logging

from prefect.exceptions import FailedRun, ParameterTypeError
from prefect.runtime import flow_run

from tenantry.errors import TenantryError
from tenantry.text import HarmlessRecords

EXPECTED = (FailedRun, ParameterTypeError, TenantryError)
"""Errors of a run that its state's message explains: it returned Failed, or its input is wrong."""
_ENGINE_EXIT = "Engine execution exited with unexpected exception"


class ExpectedFailures(logging.Filter):
    """Keeps the tracebacks of expected failures out of the run's log.

    Where a flow returns Failed, Prefect's engine raises the failure once more, after the state is
    set, and logs it with a traceback as unexpected (`prefect.flow_engine.run_flow`). An operator
    would look for a bug. Any other exception is a bug, and keeps its traceback.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log a record; the traceback of an expected failure is removed."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, EXPECTED):
            return True
        record.exc_info = None
        return not record.getMessage().startswith(_ENGINE_EXIT)


class UnexpectedOnce(logging.Filter):
    """Keeps repetitions of one unexpected error out of a run's log.

    A run may meet one bug several times, since it reads a team again under the lock. The frames
    that `tenantry.errors.as_tenantry_error` logs are those of a bug of ours: once is enough to find it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[tuple[str | None, str]] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log a record."""
        if not getattr(record, "unexpected", False):
            return True
        key = (flow_run.id, record.getMessage())
        if key in self._seen:
            return False
        self._seen.add(key)
        return True


_FILTERS: dict[str, tuple[type[logging.Filter], ...]] = {
    "prefect.flow_runs": (ExpectedFailures, HarmlessRecords),
    "prefect.task_runs": (ExpectedFailures, HarmlessRecords),
    "tenantry": (UnexpectedOnce, HarmlessRecords),
}
"""By logger: its filters."""


def filter_run_logs() -> None:
    """Add the filters to the loggers of runs and of Tenantry's core, once in a process."""
    for name, kinds in _FILTERS.items():
        logger = logging.getLogger(name)
        for kind in kinds:
            if not any(isinstance(known, kind) for known in logger.filters):
                logger.addFilter(kind())
