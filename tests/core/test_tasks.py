"""The behaviour of the tasks of onboarding when they are retried, without a scheduler."""

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from prefect.logging import disable_run_logger
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from blocks.declared_state import DeclaredState
from blocks.platform import PlatformBlocks
from tasks import connections, step
from tasks import onboarding as tasks
from tasks.lock_limits import quick_client
from tenantry.errors import SystemUnavailable
from tenantry.locks import NoLock
from tenantry.walk import Walk, observe_owners
from tests.support.harness import SHOP, Bench, write


class Regained(NoLock):
    """A lock that was lost: another process held it until it was taken again."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def hold(self) -> None:
        """Another process has made all changes meanwhile."""
        self._bench.onboard()


@pytest.fixture(autouse=True)
def _without_prefect() -> Iterator[None]:
    with disable_run_logger():
        yield


@pytest.mark.parametrize(
    ("total", "shown"),
    [(0, (100.0, "No team has changes to make.")), (1, (0.0, "0 of 1 team done."))],
)
def test_progress_of_nothing_says_so(
    total: int, shown: tuple[float, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[float, str]] = []
    monkeypatch.setattr(
        "tasks.pages.artifacts.create_progress_artifact",
        lambda at, key, text: made.append((at, text)),
    )
    tasks.Progress(total)
    assert made == [shown]


def test_a_lock_is_asked_for_again_soon_where_prefects_server_is_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("prefect.client.base.time.sleep", waited.append)
    answers = iter([503, 503, 503, 200])

    def busy(request: httpx.Request) -> httpx.Response:
        return httpx.Response(next(answers), json={})

    settings = {PREFECT_API_URL: "http://prefect.test/api", PREFECT_CLIENT_MAX_RETRIES: 3}
    with temporary_settings(settings), quick_client() as client:
        client._client._transport = httpx.MockTransport(busy)
        assert client._client.get("/v2/concurrency_limits/team-shop").is_success
    soon = zip([0.25, 0.5, 1.0], waited, strict=True)
    assert all(least <= seconds <= 1.3 * least for least, seconds in soon), waited


def test_after_a_lost_lock_the_next_stages_go_by_what_is_seen_then(
    bench: Bench,
) -> None:
    bench.declare(SHOP)

    def tried_again(name: str, work: Callable[[bool], Any], /) -> Any:
        return work(name == "apply Kubernetes changes")

    walk = Walk(bench.systems, bench.team(), tried_again)
    assert walk.plan().in_stage("Credentials")
    outcome = walk.apply(Regained(bench))
    assert not outcome.done
    assert walk.observed.live


def test_a_team_that_cannot_be_read_is_looked_at_again_and_fails_alone_in_the_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.declare(SHOP, {"name": "data"})
    for name in ("shop", "data"):
        bench.onboard(name)
    number = bench.sandbox.harbor.projects["team-data"].id
    members = f"/api/v2.0/projects/{number}/members"
    bench.sandbox.fault_for = lambda system, method, path: 500 if path == members else None
    adapters = bench.systems.team_adapters

    def tried_twice(name: str, work: Callable[[bool], Any], /) -> Any:
        with suppress(SystemUnavailable):
            return work(False)
        monkeypatch.setattr(step, "is_last_try", lambda: True)
        return work(True)

    with pytest.raises(SystemUnavailable, match=members):
        observe_owners(adapters, bench.teams, check_unread=step.retry_unread)
    observed = observe_owners(adapters, bench.teams, tried_twice, step.retry_unread)
    assert observed.failure("data") is not None
    assert observed.failure("shop") is None


@pytest.mark.demand(
    "reality", "declared state, accepted before without harm: a warning with a remedy"
)
def test_value_that_was_applied_without_harm_is_a_warning_in_the_log_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    block = DeclaredState(folder=str(write(tmp_path, "name: shop\nmembers: [Ann, ann]\n")))
    blocks = cast(PlatformBlocks, SimpleNamespace(declared_state=block))
    monkeypatch.setattr(connections, "get_run_logger", lambda: logging.getLogger("run"))
    with caplog.at_level("WARNING", "run"):
        connections.read_declared_state.plain(blocks)
    [found] = [record.getMessage() for record in caplog.records if record.name == "run"]
    assert found.startswith("teams/shop.yaml:2: members[1]: 'ann' is given twice")
