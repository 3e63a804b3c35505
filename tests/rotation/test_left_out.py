"""A team whose file is faulty can't be onboarded, and nothing of it expires all the same."""

import base64
import json
from typing import Any

import pytest

from tenantry import declared
from tenantry.rotation import Outcome, rotate
from tenantry.systems import Systems
from tenantry.systems.credentials.pairs import ROBOT
from tenantry.systems.settle import connect
from tests.bench import Bench, connections
from tests.locks import Alone
from tests.rotation_bench import (
    SHOP,
    SPREAD_OUT,
    add_namespace,
    enabled,
    logins,
    order,
    pass_time,
    published,
    robots,
)

FAULTS = {"not YAML": "{", "an unknown field": "name: shop\ncolour: red\n", "empty": ""}


@pytest.fixture
def shop(bench: Bench) -> Bench:
    """A team whose credentials are in four Secrets, and another one."""
    add_namespace(bench)
    bench.declare(SPREAD_OUT, {**SHOP, "name": "data"})
    for team in bench.teams:
        bench.onboard(team.name)
    return bench


def spoil(bench: Bench, text: str) -> None:
    """Puts something else into the team's file."""
    (bench.folder / "teams" / "shop.yaml").write_text(text)


def run(bench: Bench, names: list[str] | None = None, **asked: Any) -> dict[str, Outcome]:
    """One run of rotation, as a process makes it that starts now."""
    systems = again(bench)
    now = bench.sandbox.clock.now()
    teams = systems.state.pick(names)
    found = rotate(systems, teams, order(bench, **asked), now, Alone(), names=names)
    return {outcome.name: outcome for outcome in found}


def of_shop(bench: Bench) -> dict[str, tuple[str, str]]:
    """User name and password in each Secret of the team's."""
    return {key: login for key, login in logins(bench).items() if "team-data" not in key}


def again(bench: Bench) -> Systems:
    state = declared.read(bench.folder)
    clock = bench.sandbox.clock.now
    systems = connect(connections(bench.sandbox), state, keycloak=False, clock=clock)
    bench._opened.append(systems)
    return systems


@pytest.mark.parametrize("fault", FAULTS)
def test_its_credentials_are_rotated_as_they_are(shop: Bench, fault: str) -> None:
    before, was = of_shop(shop), robots(shop)["pull-a"]
    spoil(shop, FAULTS[fault])
    pass_time(shop, days=28)

    outcomes = run(shop)

    assert {name: outcome.error for name, outcome in outcomes.items()} == {
        "data/ci": None,
        "data/pull": None,
        "shop/pull": None,
    }
    assert published(shop) == "pull-b"
    made = robots(shop)["pull-b"]
    assert (made.duration, made.permissions) == (was.duration, was.permissions)
    after = of_shop(shop)
    assert after.keys() == before.keys()
    assert set(after.values()) == {after["team-shop/harbor-pull"]}, "all its Secrets hold it"
    assert not set(after.values()) & set(before.values())
    assert all(shop.systems.harbor_client.opens(*pair) for pair in after.values())
    assert enabled(shop) == {"pull-a", "pull-b"}, "the old one overlaps"


def test_nothing_expires_in_a_year(shop: Bench) -> None:
    spoil(shop, "{")
    for _ in range(60):
        pass_time(shop, days=6)
        outcomes = run(shop)
        assert not [outcome.error for outcome in outcomes.values() if outcome.error]
        assert all(shop.systems.harbor_client.opens(*pair) for pair in logins(shop).values())
    assert len(robots(shop)) <= 2


def test_what_never_expires_is_rotated_only_if_asked_for(bench: Bench) -> None:
    bench.declare({"name": "shop", "robots": {"pull": {"expiry_days": "never"}, "ci": None}})
    bench.onboard()
    spoil(bench, "{")
    pass_time(bench, days=1000)
    assert run(bench)["shop/pull"].state == "in order"
    assert run(bench, compromised=True)["shop/pull"].rotated
    assert robots(bench)["pull-b"].duration == -1


def test_a_run_for_other_teams_leaves_it_alone(shop: Bench) -> None:
    spoil(shop, "{")
    pass_time(shop, days=28)
    assert {name.partition("/")[0] for name in run(shop, ["data"])} == {"data"}
    assert {name.partition("/")[0] for name in run(shop, ["shop"])} == {"shop"}


def _plant(bench: Bench, namespace: str, credential: tuple[str, str]) -> None:
    """A Secret with the team's marks, as a tenant can write it into its own namespace."""
    username, password = credential
    auth = base64.b64encode(f"{username}:{password}".encode()).decode()
    entry = {"username": username, "password": password, "auth": auth}
    auths = json.dumps({"auths": {bench.systems.credentials.registry: entry}}).encode()
    bench.sandbox.kubernetes.put(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/dockerconfigjson",
            "metadata": {
                "name": "planted",
                "namespace": namespace,
                "labels": {
                    "app.kubernetes.io/managed-by": "tenantry",
                    "tenantry.io/team": "shop",
                },
                "annotations": {ROBOT: "pull-a"},
            },
            "data": {".dockerconfigjson": base64.b64encode(auths).decode()},
        }
    )


@pytest.mark.parametrize(
    ("namespace", "is_known"),
    [
        pytest.param("team-data", True, id="another team's namespace, with the credential"),
        pytest.param("team-data", False, id="another team's namespace"),
        pytest.param("pipelines", False, id="a shared namespace, without the credential"),
    ],
)
def test_no_credential_goes_into_a_planted_secret(
    shop: Bench, namespace: str, is_known: bool
) -> None:
    planted = shop.login("harbor-pull") if is_known else ("robot$team-shop+pull-a", "guessed")
    _plant(shop, namespace, planted)
    spoil(shop, "{")
    pass_time(shop, days=28)

    assert run(shop)["shop/pull"].rotated

    assert shop.login("planted", namespace) == planted
