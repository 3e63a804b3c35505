"""Teams whose files have vanished are found by their marks, with the names of their objects."""

from collections.abc import Callable

import pytest

from tenantry.declared import Team, complete
from tenantry.offboarding import revoke
from tenantry.offboarding.vanished import vanished_teams
from tests.support.harness import Bench, granted

NAMES = {"namespace": "old-shop", "project": "shop-images"}
PLATFORM = granted("shop", namespaces=["old-shop"], projects=["shop-images"])


@pytest.mark.demand("lifecycle", "a vanished team is found and revoked under its own names")
def test_a_vanished_team_has_the_names_that_its_namespace_records(
    begin: Callable[..., Bench],
) -> None:
    def onboard(bench: Bench) -> None:
        bench.declare({"name": "shop", "names": NAMES}, {"name": "data"}, platform=PLATFORM)
        for name in ("shop", "data"):
            bench.onboard(name)

    bench = begin(onboard)
    assert vanished_teams(bench.systems) == {}
    bench.declare({"name": "data"}, platform=PLATFORM)
    found = vanished_teams(bench.systems)
    assert found == {"shop": Team.model_validate({"name": "shop", "names": NAMES})}
    revoke(bench.systems, complete(bench.state.platform, found["shop"]))
    harbor = bench.sandbox.harbor
    project = harbor.projects["shop-images"].id
    robots = list(harbor.robots.values())
    assert {each.disabled for each in robots if each.project_id == project} == {True}
    assert {each.disabled for each in robots if each.project_id != project} == {False}
