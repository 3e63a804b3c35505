"""skopeo and simulated pullers pull from the sandbox's registry all the time, while all is rotated."""

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.real.servers import prerequisites
from tests.rotation.pullers import rotate_in_place
from tests.rotation.real_pullers import DELAY, Pulling, ways
from tests.sandbox.calls import Caller
from tests.support.demands import Figure
from tests.support.harness import Bench, FaultySandbox, prepare
from tests.support.images import image, push
from tests.support.rotation_harness import SHOP, logins, order, pass_time, run

pytestmark = [pytest.mark.real, pytest.mark.long, pytest.mark.timeout(1800)]

TIMES = 5
IN_PLACE = 4
"""The number of teams that are rotated in place."""

Make = Callable[[int], Bench]


class Rotated(NamedTuple):
    """Teams that were rotated several times, the pulls meanwhile, and the credentials of before."""

    bench: Bench
    teams: int
    crowd: Pulling
    rotations: int
    old: set[tuple[str, str]]


@pytest.fixture(scope="module")
def onboarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Return a function that onboards so many teams, each with an image, on a sandbox of their own."""
    prerequisites.check(kubernetes=False, keycloak=False)
    # skopeo asks for TLS first, which the sandbox does not have, and logs each time.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    benches: list[tuple[FaultySandbox, Bench]] = []

    def make(teams: int) -> Bench:
        sandbox = prepare(FaultySandbox().__enter__())
        bench = Bench(sandbox, tmp_path_factory.mktemp("state")).__enter__()
        benches.append((sandbox, bench))
        bench.declare(*({**SHOP, "name": f"t{number:02}"} for number in range(teams)))
        for team in bench.teams:
            bench.onboard(team.name)
            harbor = bench.sandbox.addresses()["harbor"]["url"]
            caller = Caller(harbor, *bench.login("harbor-ci", team.home_namespace))
            answer = push(caller, f"{team.project}/web", image())
            assert answer.status_code == 201, answer.text
        pass_time(bench, hours=1)
        return bench

    yield make
    for sandbox, bench in benches:
        bench.__exit__(None, None, None)
        sandbox.__exit__(None, None, None)


def pulling(bench: Bench, folder: Path) -> Pulling:
    """Return threads that pull from the projects of all teams."""

    def read(project: str) -> list[str]:
        return [bench.secret("harbor-pull", project)[".dockerconfigjson"]]

    return Pulling(folder, ways(bench, folder), [team.project for team in bench.teams], read)


@pytest.fixture(scope="module")
def rotated(onboarded: Make, whole: bool, tmp_path_factory: pytest.TempPathFactory) -> Rotated:
    """Rotate 20 teams (with `--whole`, or 4) five times under pulls, and retire the old robots."""
    bench, folder = onboarded(20 if whole else 4), tmp_path_factory.mktemp("pulled")
    old: set[tuple[str, str]] = set()
    rotations = 0
    with pulling(bench, folder) as crowd:
        for _ in range(TIMES):
            old |= set(logins(bench).values())
            outcomes = run(bench, order(bench, force=True)).values()
            rotations += sum(outcome.rotated for outcome in outcomes)
            time.sleep(1.5 * DELAY)
            with crowd.gate.alone():
                pass_time(bench, hours=25)
            run(bench)
    return Rotated(bench, len(bench.teams), crowd, rotations, old)


@pytest.mark.demand(
    "rotate",
    "no pull by skopeo or by simulated pullers fails while all teams are rotated "
    "under continuous pulls",
    "figure",
)
def test_no_pull_fails_while_all_is_rotated_under_continuous_pulls(
    rotated: Rotated, whole: bool, figure: Figure
) -> None:
    pulls = rotated.crowd.pulls
    failed = sum(rotated.crowd.failed.values())
    figure(
        f"{failed} failed of {pulls.get('skopeo', 0)} pulls by skopeo and "
        f"{pulls.get('simulated', 0)} by simulated pullers that read the Secret {DELAY:.0f} s late; "
        f"{rotated.rotations} rotations of {rotated.teams} teams"
    )
    assert failed == 0
    assert rotated.rotations == rotated.teams * TIMES * 2
    assert pulls["skopeo"] > (50 if whole else 5)
    assert pulls["simulated"] > (500 if whole else 50)


@pytest.mark.demand(
    "rotate", "after retirement no old secret authenticates against Harbor", "figure"
)
def test_after_retirement_no_old_secret_authenticates(rotated: Rotated, figure: Figure) -> None:
    opens = rotated.bench.systems.harbor_client.accepts
    still = [login for login in rotated.old if opens(*login)]
    published = set(logins(rotated.bench).values())
    works = [login for login in published if opens(*login)]
    figure(
        f"{len(still)} of {len(rotated.old)} old secrets authenticate against Harbor, "
        f"and {len(works)} of {len(published)} published ones"
    )
    assert still == []
    assert len(works) == len(published)
    assert len(rotated.old) == rotated.teams * TIMES * 2


@pytest.mark.demand(
    "rotate", "the same test with rotation in place has failed pulls: it can tell", "figure"
)
def test_rotated_in_place_pulls_fail(onboarded: Make, tmp_path: Path, figure: Figure) -> None:
    """The test can tell: rotation by renewing a robot's secret, as others do it, breaks pulls."""
    bench = onboarded(IN_PLACE)
    with pulling(bench, tmp_path) as crowd:
        for _ in range(TIMES):
            rotate_in_place(bench)
            time.sleep(DELAY)
    failed, pulls = sum(crowd.failed.values()), sum(crowd.pulls.values())
    figure(f"{failed} failed of {pulls} pulls, {crowd.failed.get('skopeo', 0)} of them by skopeo")
    assert crowd.failed["skopeo"] > 0
