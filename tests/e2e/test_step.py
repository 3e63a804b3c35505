"""Retries of tasks: transient errors are retried, rejections are not."""

import pytest
from prefect import flow
from prefect.utilities.math import lower_clamp_multiple

from tasks import step as tasks_step
from tasks.step import DELAYS, JITTER
from tenantry.errors import NotEffective, SystemRefused, SystemUnavailable, TenantryError

pytestmark = pytest.mark.e2e


def fail(error: Exception, times: int = 99) -> tuple[int, object]:
    """Return how often a task runs whose first runs fail with this error, and its result."""
    runs = 0

    @tasks_step.step("work")
    def work() -> str:
        nonlocal runs
        runs += 1
        if runs <= times:
            raise error
        return "done"

    @flow(retries=0)
    def walk() -> object:
        try:
            return work()
        except TenantryError as raised:
            return str(raised)

    result = walk()
    return runs, result


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks_step, "DELAYS", [0] * len(DELAYS))


@pytest.mark.usefixtures("platform")
@pytest.mark.parametrize(
    "error",
    [
        SystemUnavailable("harbor", "GET /x", "no answer"),
        NotEffective("harbor", "PATCH /x", "the secret does not open Harbor"),
    ],
)
def test_what_may_pass_is_tried_again_until_it_has(error: TenantryError) -> None:
    assert fail(error, times=2) == (3, "done")


@pytest.mark.usefixtures("platform")
def test_it_is_given_up_after_eight_tries_with_the_systems_own_words() -> None:
    error = SystemUnavailable("harbor", "GET /x", "no answer")

    assert fail(error) == (8, "Harbor: GET /x: no answer")


@pytest.mark.usefixtures("platform")
def test_a_refusal_is_not_repeated_and_leaves_no_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = SystemRefused("harbor", "POST /x", "forbidden", status=403)

    runs, message = fail(error)

    assert (runs, message) == (1, "Harbor: POST /x answered 403: forbidden")
    assert "Traceback" not in caplog.text


@pytest.mark.usefixtures("platform")
def test_a_bug_of_ours_is_not_repeated_and_is_a_message_and_its_place_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs, message = fail(KeyError("s3cret"))

    assert runs == 1
    assert str(message).startswith("KeyError while running the task 'work' (at ")
    (logged,) = [record for record in caplog.records if getattr(record, "unexpected", False)]
    assert "test_step.py" in logged.getMessage()
    assert "s3cret" not in caplog.text + str(message)


def test_the_tries_of_a_task_outlast_an_outage_of_a_minute_however_short_the_waits() -> None:
    shortest = sum(DELAYS) * lower_clamp_multiple(1 + JITTER)

    assert 60 < shortest < 90
    assert sum(DELAYS) < 120, "a system that remains down fails a run soon"
