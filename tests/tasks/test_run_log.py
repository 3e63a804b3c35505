"""The log of a run shows a traceback only for a bug."""

import logging

import pytest
from prefect.exceptions import FailedRun, ParameterTypeError

from tasks.run_log import ExpectedFailures, UnexpectedOnce, filter_run_logs
from tenantry.errors import (
    DeclarationError,
    SystemUnavailable,
    TenantryError,
    Unexpected,
    as_tenantry_error,
)

pytestmark = pytest.mark.demand(
    "reality", "the flows: no traceback, no ERROR in the logs of server and serving process"
)

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


def fail(text: str) -> Exception:
    try:
        return int(text)  # type: ignore[return-value]
    except ValueError as error:
        return error


def test_where_a_bug_was_raised_is_logged_once_without_what_it_says(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("tenantry"), "filters", [UnexpectedOnce()])
    for _ in range(3):
        found = as_tenantry_error(fail("s3cret"), "planning team 'shop'")
    other = as_tenantry_error(fail("s3cret"), "planning team 'data'")

    assert isinstance(found, Unexpected)
    assert isinstance(other, Unexpected)
    assert len(caplog.records) == 2, "once for each team"
    assert "test_run_log.py" in caplog.records[0].getMessage()
    assert "s3cret" not in caplog.text + str(found)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("prefect.flow_runs", ExpectedFailures),
        ("prefect.task_runs", ExpectedFailures),
        ("tenantry", UnexpectedOnce),
    ],
)
def test_the_filter_is_added_once(name: str, kind: type[logging.Filter]) -> None:
    filter_run_logs()
    filter_run_logs()
    filters = logging.getLogger(name).filters

    assert sum(isinstance(each, kind) for each in filters) == 1
