"""The log of a run shows a traceback only for a bug."""

import logging

import pytest
from prefect.exceptions import FailedRun, ParameterTypeError

from tasks.run_log import ExpectedFailures, leave_out_expected_failures
from tenantry.errors import DeclarationError, SystemUnavailable, TenantryError

EXPECTED = [
    FailedRun("Team 'shop' is not declared."),
    ParameterTypeError("team: Field required"),
    TenantryError("The lock is lost."),
    DeclarationError(["platform.yaml:1: name: is no text"]),
    SystemUnavailable("harbor", "GET /api/v2.0/systeminfo", "no answer"),
]
ENGINE_EXIT = "Engine execution exited with unexpected exception"


def record(message: str, error: Exception | None) -> logging.LogRecord:
    info = (type(error), error, None) if error else None
    return logging.LogRecord("prefect.flow_runs", logging.ERROR, "", 0, message, (), info)


@pytest.mark.parametrize("error", EXPECTED, ids=lambda error: type(error).__name__)
def test_an_expected_failure_is_logged_without_its_traceback(error: Exception) -> None:
    failed = record("Task run failed with exception: %r", error)
    failed.args = (error,)

    assert not ExpectedFailures().filter(record(ENGINE_EXIT, error))
    assert ExpectedFailures().filter(failed)
    assert "Traceback" not in logging.Formatter().format(failed)
    assert str(error) in failed.getMessage() or repr(error) in failed.getMessage()


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyError("value"), TypeError("int")])
@pytest.mark.parametrize("message", [ENGINE_EXIT, "Encountered exception during execution"])
def test_a_bug_keeps_its_traceback(message: str, error: Exception) -> None:
    logged = record(message, error)

    assert ExpectedFailures().filter(logged)
    assert logged.exc_info


def test_a_message_without_an_exception_is_logged() -> None:
    assert ExpectedFailures().filter(record("Finished in state Failed()", None))


@pytest.mark.parametrize("name", ["prefect.flow_runs", "prefect.task_runs"])
def test_the_filter_is_added_once(name: str) -> None:
    leave_out_expected_failures()
    leave_out_expected_failures()
    filters = logging.getLogger(name).filters

    assert sum(isinstance(each, ExpectedFailures) for each in filters) == 1
