"""A batch in which no team is new or changed reads pages of namespaces, and nothing for each team."""

import math

import pytest

from tenantry.systems.kubernetes import client
from tests.support.demands import Figure
from tests.support.harness import Bench

PAGE = 5


def requests(bench: Bench, teams: int) -> tuple[int, int]:
    """Onboard this many teams. Return the namespaces, and the requests of a further batch."""
    bench.declare(*({"name": f"t{number}"} for number in range(teams)))
    for team in bench.teams:
        bench.onboard(team.name)
    with bench.process() as systems:
        bench.sandbox.requests.reset()
        assert systems.not_applied(bench.teams) == []
        counts = bench.sandbox.requests.counts()
        namespaces = len(list(systems.home_cluster.list("Namespace")))
    return namespaces, sum(counts.values())


@pytest.mark.demand("speed", "onboard-teams with nothing new: one request for a page of namespaces")
def test_nothing_new_reads_pages_of_namespaces(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, figure: Figure
) -> None:
    monkeypatch.setattr(client, "_PAGE", PAGE)
    found = []
    for teams in (6, 18):
        namespaces, made = requests(bench, teams)
        assert made == math.ceil(namespaces / PAGE)
        found.append(f"{teams} teams: {made} requests")
    figure(f"{', '.join(found)}, with {PAGE} namespaces in a page")


def test_the_platform_is_converted_once_for_all_teams(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The platform's part of the fingerprints can be as long as the list of teams."""
    state = bench.declare({"name": "a"}, {"name": "b"}, {"name": "c"}).state
    converted = []
    dump = type(state.platform).model_dump

    def counted(self: object, **options: object) -> object:
        converted.append(self)
        return dump(self, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(type(state.platform), "model_dump", counted)
    prints = {state.fingerprint(team) for team in bench.teams}
    assert len(prints) == 3
    assert converted == [state.platform]
