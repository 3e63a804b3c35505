"""A team whose file is faulty can't be onboarded, and nothing of it expires all the same."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from tenantry import declared
from tenantry.locks import NoLock
from tenantry.rotation import Outcome, rotate
from tenantry.systems.credentials.pairs import ROBOT
from tenantry.systems.harbor.client import HarborClient
from tenantry.systems.settle import connect
from tenantry.systems.systems import Systems
from tests.support.harness import Bench, Prepare, connections
from tests.support.rotation_harness import (
    SHOP,
    SPREAD_OUT,
    SPREADING,
    add_namespace,
    change_secret,
    enabled,
    logins,
    order,
    pass_time,
    published,
    robots,
    secret,
)

pytestmark = pytest.mark.demand(
    "reality", "credentials of a team with a faulty file are rotated as they are, and none expires"
)

FAULTS = {"not YAML": "{", "an unknown field": "name: shop\ncolour: red\n", "empty": ""}


@pytest.fixture
def shop(begin: Callable[[Prepare], Bench]) -> Bench:
    """A team whose credentials are in four Secrets, and another one."""
    return begin(_onboard_two)


def _onboard_two(bench: Bench) -> None:
    add_namespace(bench)
    bench.declare(SPREAD_OUT, {**SHOP, "name": "data"}, platform=SPREADING)
    for team in bench.teams:
        bench.onboard(team.name)


def spoil(bench: Bench, text: str) -> None:
    """Puts something else into the team's file."""
    (bench.folder / "teams" / "shop.yaml").write_text(text)


def run(bench: Bench, names: list[str] | None = None, **asked: Any) -> dict[str, Outcome]:
    """One run of rotation, as a process makes it that starts now."""
    systems = again(bench)
    now = bench.sandbox.clock.now()
    teams = systems.state.pick(names)
    found = rotate(systems, teams, order(bench, **asked), now, NoLock(), names=names)
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
    assert all(shop.systems.harbor_client.accepts(*pair) for pair in after.values())
    assert enabled(shop) == {"pull-a", "pull-b"}, "the old one overlaps"


def test_the_credentials_of_a_team_beyond_the_policy_are_rotated_with_their_access(
    shop: Bench,
) -> None:
    """As after an upgrade, before its sinks are granted: each Secret that has it gets the next."""
    before, was = of_shop(shop), robots(shop)["pull-a"]
    (shop.folder / "platform.yaml").write_text("name: without a policy\n")
    (fault, *_) = declared.read(shop.folder).faults
    assert "is outside of the team's namespaces" in fault
    pass_time(shop, days=28)

    outcomes = run(shop)

    assert outcomes["shop/pull"].error is None
    assert published(shop) == "pull-b"
    made = robots(shop)["pull-b"]
    assert (made.duration, made.permissions) == (was.duration, was.permissions)
    after = of_shop(shop)
    assert after.keys() == before.keys()
    assert all(shop.systems.harbor_client.accepts(*pair) for pair in after.values())


def test_nothing_expires_in_a_year(shop: Bench) -> None:
    spoil(shop, "{")
    for _ in range(52):
        pass_time(shop, days=7)
        outcomes = run(shop)
        assert not [outcome.error for outcome in outcomes.values() if outcome.error]
        assert all(shop.systems.harbor_client.accepts(*pair) for pair in logins(shop).values())
    assert len(robots(shop)) <= 2


def test_a_robot_that_never_expires_is_rotated_on_request_only(bench: Bench) -> None:
    bench.declare({"name": "shop", "robots": {"pull": {"expiry_days": "never"}, "ci": None}})
    bench.onboard()
    spoil(bench, "{")
    pass_time(bench, days=1000)
    assert run(bench)["shop/pull"].state == "in sync"
    assert run(bench, compromised=True)["shop/pull"].rotated
    assert robots(bench)["pull-b"].duration == -1


def test_a_robot_that_expires_after_a_day_is_rotated_before_it_does(bench: Bench) -> None:
    bench.declare({"name": "shop", "robots": {"pull": {"expiry_days": 1}, "ci": None}})
    bench.onboard()
    spoil(bench, "{")
    assert run(bench)["shop/pull"].rotated
    assert robots(bench)["pull-b"].duration == 1
    assert bench.can_log_in("harbor-pull")


def test_a_run_for_other_teams_leaves_it_alone(shop: Bench) -> None:
    spoil(shop, "{")
    pass_time(shop, days=28)
    assert {name.partition("/")[0] for name in run(shop, ["data"])} == {"data"}
    assert {name.partition("/")[0] for name in run(shop, ["shop"])} == {"shop"}


def _plant(bench: Bench, namespace: str, credential: tuple[str, str], team: str = "shop") -> None:
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
                    "tenantry.io/team": team,
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


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param({"annotations": {ROBOT: "pull-a"}}, id="no labels"),
        pytest.param({}, id="no labels and no annotations", marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("fault", [name for name in FAULTS if name != "empty"])
def test_the_old_robot_stays_while_a_secret_that_lost_its_mark_holds_its_credential(
    shop: Bench, fault: str, kept: dict[str, Any]
) -> None:
    before = of_shop(shop)
    metadata = {"name": "pull-shop", "namespace": "pipelines", **kept}
    shop.sandbox.kubernetes.put({**secret(shop, "pull-shop", "pipelines"), "metadata": metadata})
    text = (shop.folder / "teams" / "shop.yaml").read_text()
    spoil(shop, f"{text}\ncolour: red\n" if fault == "an unknown field" else FAULTS[fault])
    pass_time(shop, days=24)
    found = kept or fault == "an unknown field"  # else nothing shows that it is a sink

    outcome = run(shop)["shop/pull"]

    assert outcome.rotated
    assert not found or "Secret pipelines/pull-shop" in str(outcome.error)
    sink = before["pipelines/pull-shop"]
    for _ in range(4):
        pass_time(shop, days=1, hours=4)
        error = run(shop)["shop/pull"].error
        assert not found or "neither disabled nor deleted" in str(error)
        assert shop.systems.harbor_client.accepts(*sink), "its consumers still log in"
    after = of_shop(shop)
    assert after.pop("pipelines/pull-shop") == sink
    assert len(set(after.values())) == 1


def test_a_pair_whose_first_secret_lost_its_mark_is_reported(shop: Bench) -> None:
    change_secret(shop, metadata={"name": "harbor-pull", "namespace": "team-shop"})
    spoil(shop, "{")
    pass_time(shop, days=28)

    outcome = run(shop)["shop/pull"]

    assert "has lost the mark of team 'shop'" in str(outcome.error)
    assert all(shop.systems.harbor_client.accepts(*pair) for pair in of_shop(shop).values())


@pytest.mark.parametrize(
    "text",
    ["{", *(pytest.param(each, marks=pytest.mark.long) for each in ("", "name: Shop\n", "- x\n"))],
)
def test_a_team_that_no_file_names_is_rotated_as_it_is(shop: Bench, text: str) -> None:
    before = of_shop(shop)
    (shop.folder / "teams" / "shop.yaml").unlink()
    (shop.folder / "teams" / "web.yaml").write_text(text)
    pass_time(shop, days=28)

    outcome = run(shop)["shop/pull"]

    assert (outcome.rotated, outcome.error) == (True, None)
    after = of_shop(shop)
    assert set(after.values()) == {after["team-shop/harbor-pull"]}
    assert not set(after.values()) & set(before.values())


def test_a_team_that_was_removed_is_not_rotated_while_all_names_are_known(shop: Bench) -> None:
    (shop.folder / "teams" / "shop.yaml").unlink()
    (shop.folder / "teams" / "web.yaml").write_text("name: web\ncolour: red\n")
    pass_time(shop, days=28)

    assert run(shop).keys() == {"data/pull", "data/ci"}


def test_a_namespace_of_another_team_shows_no_team(shop: Bench) -> None:
    """A tenant can write any labels into its own namespaces."""
    (shop.folder / "teams" / "web.yaml").write_text("{")
    shop.sandbox.harbor.projects["team-ghost"] = shop.sandbox.harbor.projects["team-data"]
    _plant(shop, "team-data", ("robot$team-ghost+pull-a", "guessed"), team="ghost")
    assert {name.partition("/")[0] for name in run(shop)} == {"shop", "data"}


def test_a_project_that_cannot_be_understood_is_a_failure_of_its_team(
    shop: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(shop, "{")
    real = HarborClient.pages

    def odd(client: HarborClient, path: str, **query: Any) -> Any:
        for row in real(client, path, **query):
            if row.get("name") == "team-shop":
                del row["project_id"]
            yield row

    monkeypatch.setattr(HarborClient, "pages", odd)
    outcomes = run(shop)
    assert outcomes["shop/all robots"].error is not None
    assert outcomes["data/pull"].error is None
