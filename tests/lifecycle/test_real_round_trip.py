"""The round trip on a real Keycloak and API server, and on the given Harbor or a simulated one."""

from collections.abc import Callable
from typing import Any

import pytest

from demo.processes import ROOT
from tests.lifecycle.prerequisites import create_prerequisites
from tests.lifecycle.round_trip import travel
from tests.lifecycle.site import Site
from tests.support.addresses import given
from tests.support.demands import Figure
from tests.support.harness import admit, write
from tests.support.varied_teams import VariedTeams

pytestmark = [pytest.mark.real, pytest.mark.long, pytest.mark.timeout(1800)]

HARBOR = "the given Harbor" if given().harbor else "a simulated Harbor"


def real_demand(text: str, **options: Any) -> Callable[[Any], Any]:
    return pytest.mark.demand("lifecycle", f"real Keycloak and Kubernetes: {text}", **options)


@real_demand("round trip of varied teams")
def test_varied_teams_are_imported_and_adopted(
    real_site: Site, whole: bool, figure: Figure
) -> None:
    varied = VariedTeams(7, suffix=real_site.suffix, registry="", renamed=True)
    teams = varied.contents(20 if whole else 4)
    platform = varied.platform()
    platform = {**platform, "keycloak": {**platform["keycloak"], "realm": real_site.realm}}
    admit(write(real_site.folder, *teams, platform=platform))
    with real_site.systems() as systems:
        create_prerequisites(systems)
    real_site.onboard()
    trip = travel(real_site, {team["name"]: team["group"] for team in teams if "group" in team})
    figure(f"{len(teams)} teams, {len(trip.planned['adopt'])} resources adopted, on {HARBOR}")
    assert trip.planned.keys() == {"adopt", "record"}
    assert (trip.after, trip.findings) == ({}, ())
    assert trip.second == trip.files


@real_demand("round trip of the example", sample=True)
def test_the_example_is_imported_and_adopted(real_site: Site, figure: Figure) -> None:
    declare_example(real_site)
    real_site.onboard()
    trip = travel(real_site)
    figure(f"3 teams, {len(trip.planned['adopt'])} resources adopted, on {HARBOR}")
    assert trip.planned.keys() == {"adopt", "record"}
    assert (trip.after, trip.findings) == ({}, ())
    assert trip.second == trip.files


def declare_example(site: Site) -> None:
    """Declare the teams of the example, with names that end in the site's suffix."""
    example, suffix = ROOT / "deployments" / "example", site.suffix
    (site.folder / "teams").mkdir(parents=True)
    text = (example / "platform.yaml").read_text()
    text = text.replace("realm: platform\n", f"realm: {site.realm}\n")
    text = text.replace("teams: [data]", f"teams: [data{suffix}]")
    text = text.replace("all-teams-admin", f"all-teams-admin{suffix}")
    (site.folder / "platform.yaml").write_text(text)
    for path in (example / "teams").glob("*.yaml"):
        text = path.read_text().replace(f"name: {path.stem}\n", f"name: {path.stem}{suffix}\n")
        text = text.replace("shop.example.com", f"shop{suffix}.example.com")
        (site.folder / "teams" / f"{path.stem}{suffix}.yaml").write_text(text)
