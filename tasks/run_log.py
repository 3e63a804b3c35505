"""What the log of a flow run leaves out: tracebacks of failures that the run has explained."""

import logging

from prefect.exceptions import FailedRun, ParameterTypeError

from tenantry.errors import TenantryError

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


def leave_out_expected_failures() -> None:
    """Add the filter to the loggers of flow and task runs, once in a process."""
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logger = logging.getLogger(name)
        if not any(isinstance(known, ExpectedFailures) for known in logger.filters):
            logger.addFilter(ExpectedFailures())
