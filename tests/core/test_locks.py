"""The locks of commands that write: those of the runs, or none where the user says so."""

import pytest

from tasks.locks import TeamLock
from tenantry import onboarding
from tenantry.errors import TenantryError
from tenantry.locks import API, NoLock, find_locks
from tenantry.outcomes import NotApproved, Outcome
from tenantry.plan import Plan
from tests.support.harness import Bench

pytestmark = pytest.mark.demand(
    "operate", "command line: it takes the locks of the flows, or refuses"
)


def test_a_command_takes_the_locks_of_the_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(API, "http://127.0.0.1:9/api")
    assert isinstance(find_locks()(["shop"], lambda: None), TeamLock)


def test_a_command_that_finds_no_locks_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(API, raising=False)
    with pytest.raises(TenantryError, match=r"PREFECT_API_URL is not set\..*--without-lock"):
        find_locks()


def test_without_a_lock_the_teams_are_still_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(API, "http://127.0.0.1:9/api")
    asked = []
    with find_locks(without_lock=True)(["shop"], lambda: asked.append("shop")):
        assert asked == ["shop"]


def test_a_team_whose_plan_is_not_confirmed_is_not_changed(bench: Bench) -> None:
    bench.declare({"name": "shop"}, {"name": "data"})
    ended: list[Outcome] = []

    def confirm(plan: Plan) -> None:
        if plan.team == "shop":
            raise NotApproved("other changes than shown")

    with bench.process() as systems:
        teams = systems.state.pick(None)
        planned = onboarding.plan_all(systems, teams)
        onboarding.onboard_many(systems, teams, planned, NoLock(), ended.append, confirm)

    errors = {outcome.team: outcome.error for outcome in ended}
    assert errors["data"] is None
    assert isinstance(errors["shop"], NotApproved)
    assert "team-shop" not in {project.name for project in bench.sandbox.harbor.projects.values()}
    assert "team-data" in {project.name for project in bench.sandbox.harbor.projects.values()}
