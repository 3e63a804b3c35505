"""A publication that Prefect's API rejects is a warning; a rejected call that a run needs fails the run."""

import logging
from collections.abc import Callable, Iterator

import httpx
import pytest
from prefect.exceptions import EventTooLarge
from prefect.logging import disable_run_logger
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from blocks import DeclaredState
from tasks import prefect_api
from tasks.connections import load_block
from tasks.migration_report import Progress as MigrationProgress
from tasks.onboarding import Progress
from tasks.pages import publish_pages
from tasks.prefect_api import best_effort, created, emit
from tasks.store import BlockStore
from tasks.tables import publish_table
from tenantry.errors import SystemRefused, SystemUnavailable
from tenantry.text import Markdown

pytestmark = pytest.mark.demand(
    "reality", "the flows: no traceback, no ERROR in the logs of server and serving process"
)

NO_ANSWER = 0
PUBLISH: dict[str, Callable[[], object]] = {
    "a table": lambda: publish_table("robots", [{"robot": "shop/pull"}], Markdown("1 credential.")),
    "pages": lambda: publish_pages([("page", Markdown("# Page")), ("other", Markdown("# Other"))]),
    "progress": lambda: Progress(3).show(3),
    "progress of a migration": lambda: MigrationProgress()(1, 1),
}
NEED: dict[str, Callable[[], object]] = {
    "a flow run": created,
    "a block": lambda: load_block(DeclaredState, "x"),
    "a store": lambda: BlockStore("local-file-system/x"),
}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The statuses with which Prefect's API answers, the last one for all further requests."""
    statuses: list[int] = []
    now = "2026-11-01T12:00:00Z"
    made = {"id": "00000000-0000-4000-8000-000000000001", "created": now, "updated": now}

    token = {**made, "token": "x", "client": "y", "expiration": "2999-01-01T00:00:00Z"}

    def answer(transport: object, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/csrf-token"):
            return httpx.Response(200, json=token, request=request)
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        if status == NO_ANSWER:
            raise httpx.ConnectError("refused")
        return httpx.Response(status, json=made, headers={"Retry-After": "0"}, request=request)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", answer)
    monkeypatch.setattr("prefect.events.utilities.emit_event", lambda *_, **__: None)
    monkeypatch.setattr("prefect.client.base.time.sleep", lambda seconds: None)
    monkeypatch.setattr(prefect_api, "run_logger", lambda: logging.getLogger("the run"))
    settings = {PREFECT_API_URL: "http://prefect.test/api", PREFECT_CLIENT_MAX_RETRIES: 2}
    with temporary_settings(settings), disable_run_logger():
        yield statuses


@pytest.mark.parametrize("status", [503, 500, 404, 401, NO_ANSWER])
@pytest.mark.parametrize("what", PUBLISH)
def test_what_cannot_be_published_is_a_warning(
    answers: list[int], what: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    answers.append(status)

    PUBLISH[what]()

    warnings = [each.getMessage() for each in caplog.records if each.name == "the run"]
    assert warnings
    assert all("Cannot publish artifact" in each for each in warnings)
    assert "Traceback" not in caplog.text


def test_what_is_refused_once_is_published_at_the_next_try(
    answers: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    answers.extend([503, 201])
    PUBLISH["a table"]()
    assert not [each for each in caplog.records if each.name == "the run"]


def test_an_event_that_is_too_large_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise EventTooLarge(2, 1)

    monkeypatch.setattr(prefect_api, "emit_event", refuse)
    monkeypatch.setattr(prefect_api, "run_logger", lambda: logging.getLogger("the run"))
    emit("tenantry.robot.rotated", {"prefect.resource.id": "x"}, {"error": "…"})
    assert "Cannot publish event 'tenantry.robot.rotated'" in caplog.text


def test_a_bug_of_ours_while_publishing_does_not_lose_the_result_of_the_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(prefect_api, "run_logger", lambda: logging.getLogger("the run"))
    with best_effort("artifact 'robots'"):
        dict[str, str]()[f"s3{'cret'}"]
    assert "KeyError while publishing artifact 'robots'" in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    ("status", "kind"),
    [(503, SystemUnavailable), (NO_ANSWER, SystemUnavailable), (403, SystemRefused)],
)
@pytest.mark.parametrize("what", NEED)
def test_what_a_run_needs_fails_with_a_message(
    answers: list[int], what: str, status: int, kind: type[Exception]
) -> None:
    answers.append(status)
    with pytest.raises(kind, match=r"^Prefect: read .*\. See "):
        NEED[what]()
