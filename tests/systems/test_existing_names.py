"""Teams with explicit names, and platforms with other patterns, through all flows on the sandbox."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from tenantry import checks, declared, drift
from tenantry.declared import Declaration
from tenantry.drift.findings import Finding
from tenantry.errors import DeclarationError, NotOurs
from tenantry.locks import NoLock
from tenantry.rotation import Outcome as Rotated
from tenantry.rotation import rotate
from tenantry.systems.settle import connect
from tenantry.systems.systems import Systems
from tenantry.walk import observe_owners
from tenantry.welcome import guide
from tests.support.existing_names import ALLOWS, NAMES
from tests.support.existing_names import SHOP as NAMED
from tests.support.harness import PLATFORM, REALM, Bench, Data, Prepare, connections, granted
from tests.support.invariants import assert_in_sync
from tests.support.rotation_harness import (
    ROTATED,
    all_work,
    logins,
    order,
    pairs_are_in_order,
    pass_time,
    robots,
    run,
)

ROBOT: Data = {"expiry_days": 30, "rotation": ROTATED}
SHOP: Data = {
    **NAMED,
    "routes": {
        "web": {"host": "shop.example.com", "paths": [{"service": "web", "port": 80}]},
    },
    "robots": {"pull": ROBOT, "ci": ROBOT},
}
GRANTED = granted("shop", **ALLOWS)
BARE: Data = {
    **PLATFORM,
    "names": {
        "namespace": "{team}",
        "project": "{team}",
        "group": "{team}",
        "client": "{team}.{name}",
    },
}
"""A platform whose names have no text of their own: only marks show what belongs to a team."""


def onboard(bench: Bench) -> None:
    for team in bench.teams:
        bench.onboard(team.name)


def _named(bench: Bench) -> None:
    onboard(bench.declare(SHOP, {"name": "data"}, platform=GRANTED))


def _bare(bench: Bench) -> None:
    onboard(bench.declare({**SHOP, "names": {}, "group": None}, {"name": "data"}, platform=BARE))


@pytest.fixture
def named(begin: Callable[[Prepare], Bench]) -> Bench:
    """Return a team with explicit names for all objects, and a team without any."""
    return begin(_named)


@pytest.fixture
def bare(begin: Callable[[Prepare], Bench]) -> Bench:
    """Return two teams on a platform with the pattern `{team}`."""
    return begin(_bare)


def findings(bench: Bench) -> list[Finding]:
    with bench.process(extras=True) as systems:
        observed = observe_owners(systems.team_adapters, bench.teams)
        return list(drift.detect(systems, bench.teams, observed).report.findings)


def exists(bench: Bench, kind: str, name: str, namespace: str | None = None) -> bool:
    return bench.sandbox.kubernetes.get(kind, name, namespace) is not None


def test_all_objects_have_the_declared_names(named: Bench) -> None:
    assert exists(named, "Namespace", "legacy-shop")
    assert exists(named, "Namespace", "batch")
    assert exists(named, "VirtualService", "web", "legacy-shop")
    for namespace in ("legacy-shop", "batch"):
        account: Any = named.sandbox.kubernetes.get("ServiceAccount", "default", namespace)
        assert account["imagePullSecrets"] == [{"name": "harbor-pullsecret"}]
        assert named.can_log_in("harbor-pullsecret", namespace)
    assert named.can_log_in("harbor-ci", "legacy-shop")
    assert named.secret("web-login", "legacy-shop")["client_id"] == "Shop_Web"
    assert set(named.sandbox.harbor.projects) >= {"shop.images", "team-data"}
    realm = named.sandbox.keycloak.realms[REALM]
    assert {"shop-people", "team-data"} <= {group.name for group in realm.groups.values()}
    assert not exists(named, "Namespace", "team-shop")
    assert "team-shop" not in named.sandbox.harbor.projects


@pytest.mark.parametrize("bench", ["named", "bare"])
def test_a_second_run_and_drift_find_nothing(bench: str, request: pytest.FixtureRequest) -> None:
    made: Bench = request.getfixturevalue(bench)
    assert_in_sync(made)
    assert findings(made) == []


@pytest.mark.parametrize("bench", ["named", "bare"])
def test_rotation_keeps_the_credentials_working(bench: str, request: pytest.FixtureRequest) -> None:
    made: Bench = request.getfixturevalue(bench)
    before = logins(made)
    pass_time(made, days=21)
    outcomes = run(made)
    assert {name for name, outcome in outcomes.items() if outcome.error} == set()
    after = logins(made)
    assert all_work(made, before), "the old credentials work during the overlap"
    assert {key for key in before if "shop" in before[key][0]} == {
        key for key in before if before[key] != after[key]
    }
    pairs_are_in_order(made)


@pytest.mark.parametrize(
    "patterns",
    [
        {"namespace": "{team}-dev", "project": "x.{team}", "group": "{team} people"},
        {
            "namespace": "t-{team}",
            "further_namespace": "{key}-of-{team}",
            "client": "{name}@{team}",
        },
        {"secret": "{purpose}.harbor", "secrets": {"ci": "push"}, "client_secret": "{name}"},
    ],
    ids=lambda patterns: next(iter(patterns)),
)
def test_all_flows_follow_the_patterns(patterns: Data, begin: Callable[[Prepare], Bench]) -> None:
    team = {**SHOP, "names": {}, "group": None}
    platform = {**PLATFORM, "names": patterns}
    made = begin(
        lambda bench: onboard(bench.declare(team, {"name": "shop-web"}, platform=platform))
    )
    assert_in_sync(made)
    assert findings(made) == []
    pass_time(made, days=21)
    before = logins(made)
    assert not [outcome for outcome in run(made).values() if outcome.error]
    assert all_work(made, {**before, **logins(made)})
    pairs_are_in_order(made)
    (made.folder / "teams" / "shop.yaml").unlink()
    made.load()
    assert {finding.team for finding in findings(made)} == {"shop"}


def test_the_guide_has_the_names(named: Bench) -> None:
    text = str(guide(named.team("shop"), "registry.example.com", REALM))
    for name in ("legacy-shop", "batch", "shop.images", "shop-people", "Shop_Web", "web-login"):
        assert name in text
    assert "imagePullSecrets: [{name: harbor-pullsecret}]" in text
    assert "team-shop" not in text


def test_findings_name_the_line_that_declares_the_object(named: Bench) -> None:
    named.sandbox.kubernetes.delete("Secret", "web-login", "legacy-shop")
    named.sandbox.kubernetes.delete("Secret", "harbor-pullsecret", "batch")
    text = (named.folder / "teams" / "shop.yaml").read_text().splitlines()
    found = {finding.resource.key: text[finding.location.line - 1] for finding in findings(named)}
    assert found["legacy-shop/web-login"].strip() == "web:"
    assert found["batch/harbor-pullsecret"].strip() == "pull:"


def test_the_checks_find_the_robots_and_clients_under_their_names(named: Bench) -> None:
    def found() -> list[tuple[str, str]]:
        with named.process() as systems:
            return [(each.check, str(each.resource)) for each in checks.check_all(systems)]

    before = found()
    pass_time(named, days=31)
    expired = [resource for check, resource in found() if (check, resource) not in before]
    assert "harbor/robot/shop.images/pull-a" in expired
    named.systems.harbor_client.put("/configurations", {"robot_name_prefix": "bot-"})
    renamed = [resource for check, resource in found() if check == "robot prefix"]
    assert "kubernetes/Secret/legacy-shop/harbor-pullsecret" in renamed


def test_a_removed_purpose_is_retired_under_the_names_that_the_file_no_longer_gives(
    named: Bench,
) -> None:
    names = {**NAMES, "secrets": {}}
    team = {**SHOP, "names": names, "robots": {"pull": None, "ci": ROBOT}}
    named.declare(team, {"name": "data"}, platform=GRANTED)
    found = [each for each in findings(named) if each.resource.key.endswith("harbor-pullsecret")]
    assert {each.remedy for each in found} == {None}, "rotation retires them"
    for _ in range(8):
        run(named)
        pass_time(named, days=3)
    for namespace in ("legacy-shop", "batch"):
        assert not exists(named, "Secret", "harbor-pullsecret", namespace)
        account: Any = named.sandbox.kubernetes.get("ServiceAccount", "default", namespace)
        assert not account.get("imagePullSecrets")
    assert {name.rpartition("-")[0] for name in robots(named, "shop.images")} == {"ci"}


# What belongs to nobody


def _foreign(bench: Bench) -> None:
    """Create objects of other owners, whose names fit the pattern `{team}`."""
    for name in ("argocd", "monitoring"):
        bench.sandbox.kubernetes.put(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        )
        bench.systems.harbor_client.post("/projects", {"project_name": name})
    for client in ("shop.by-hand", "argocd.web"):
        bench.systems.keycloak_client.post("clients", {"clientId": client})
        bench.systems.keycloak_client.post("groups", {"name": client})


def test_objects_of_others_are_no_extras_whatever_their_names(bare: Bench) -> None:
    _foreign(bare)
    assert findings(bare) == []


@pytest.mark.parametrize("bench", ["named", "bare"])
def test_the_objects_of_a_team_that_is_not_declared_are_found_by_their_marks(
    bench: str, request: pytest.FixtureRequest
) -> None:
    made: Bench = request.getfixturevalue(bench)
    team = made.team("shop")
    expected = {*team.namespaces, team.project, team.oidc_group, team.client_id("web")}
    _foreign(made)
    (made.folder / "teams" / "shop.yaml").unlink()
    made.load()
    found = findings(made)
    assert {finding.resource.key for finding in found} >= expected
    assert {finding.team for finding in found} == {"shop"}


# A team whose file is faulty


def left_out(bench: Bench, text: str) -> dict[str, Rotated]:
    """Replace the file of `shop`, and rotate."""
    (bench.folder / "teams" / "shop.yaml").write_text(text)
    state = declared.read(bench.folder)
    with _connect(bench, state) as systems:
        now = bench.sandbox.clock.now()
        found = rotate(systems, systems.state.pick(None), order(bench), now, NoLock())
    return {outcome.name: outcome for outcome in found}


def _connect(bench: Bench, state: Declaration) -> Systems:
    return connect(connections(bench.sandbox), state, keycloak=False, clock=bench.sandbox.clock.now)


@pytest.mark.parametrize(
    "text", ["{", "name: shop\ncolour: red\n", ""], ids=["not YAML", "no names", "empty"]
)
@pytest.mark.parametrize("bench", ["named", "bare"])
def test_the_credentials_of_a_faulty_file_are_rotated_under_their_names(
    bench: str, text: str, request: pytest.FixtureRequest
) -> None:
    """The file has lost the names. The marks show the namespace, the project and the Secrets."""
    made: Bench = request.getfixturevalue(bench)
    before = logins(made)
    pass_time(made, days=21)
    outcomes = left_out(made, text)
    assert {name: outcome.error for name, outcome in outcomes.items() if outcome.error} == {}
    assert {"shop/pull", "shop/ci"} <= outcomes.keys()
    after = logins(made)
    home = made.team("shop").home_namespace
    for purpose in ("pull", "ci"):
        key = f"{home}/{made.team('shop').secret_name(purpose)}"
        assert after[key] != before[key]
    assert all_work(made, {**after, **before})


# Changed names


def refused(bench: Bench, change: Data, platform: Data = GRANTED) -> str:
    """Return why onboarding with other names is refused, after checking that the credentials still work."""
    team = {**SHOP, "names": {**NAMES, **change}}
    bench.declare(team, {"name": "data"}, platform=platform)
    before = logins_before(bench)
    bench.sandbox.requests.reset()
    with pytest.raises(NotOurs) as refusal:
        bench.onboard("shop")
    assert all_work(bench, before)
    return str(refusal.value)


def logins_before(bench: Bench) -> dict[str, tuple[str, str]]:
    names = [("legacy-shop", "harbor-pullsecret"), ("legacy-shop", "harbor-ci")]
    return {f"{space}/{name}": bench.login(name, space) for space, name in names}


def test_another_namespace_is_refused_with_the_way_to_do_it(named: Bench) -> None:
    text = refused(named, {"namespace": "team-shop"})
    assert "the namespace of team 'shop' is 'legacy-shop'" in text
    assert "Keep the name: names: {namespace: legacy-shop}" in text
    assert "declare a new team" in text
    assert not exists(named, "Namespace", "team-shop")
    assert named.sandbox.requests.writes("harbor") == 0
    assert len(robots(named, "shop.images")) == 2


def test_another_project_is_refused(named: Bench) -> None:
    text = refused(named, {"project": "team-shop"})
    assert "the project of team 'shop' is 'shop.images'" in text
    assert "team-shop" not in named.sandbox.harbor.projects
    home: Any = named.sandbox.kubernetes.get("Namespace", "legacy-shop")
    assert home["metadata"]["annotations"]["tenantry.io/harbor-project"] == "shop.images"
    error = run(named)["shop/pull"].error
    assert "the project of team 'shop' is 'shop.images'" in str(error), (
        "robots must not expire unseen"
    )


def test_another_secret_is_refused_and_the_credential_is_not_renewed(named: Bench) -> None:
    text = refused(named, {"secrets": {"pull": "harbor-pull"}})
    assert "the credential of robot 'pull' is in Secret 'legacy-shop/harbor-pullsecret'" in text
    assert not exists(named, "Secret", "harbor-pull", "legacy-shop")
    pass_time(named, days=21)
    outcomes = run(named)
    assert outcomes["shop/pull"].error is not None
    assert "harbor-pullsecret" in str(outcomes["shop/pull"].error)
    assert named.can_log_in("harbor-pullsecret", "legacy-shop")


def test_another_pattern_is_refused_until_the_teams_keep_their_names(named: Bench) -> None:
    platform = {**GRANTED, "names": {"namespace": "t-{team}"}}
    named.declare(SHOP, {"name": "data"}, platform=platform)
    with pytest.raises(NotOurs, match="the namespace of team 'data' is 'team-data'"):
        named.onboard("data")
    grants = [*GRANTED["policy"]["grants"]]
    grants += [{"teams": ["data"], "reason": "before", "namespaces": ["team-data"]}]
    platform = {**platform, "policy": {"grants": grants}}
    data = {"name": "data", "names": {"namespace": "team-data"}}
    named.declare(SHOP, data, platform=platform)
    onboard(named)
    assert_in_sync(named)


def test_a_namespace_that_was_deleted_can_have_another_name(named: Bench) -> None:
    for namespace in ("legacy-shop", "batch"):
        named.sandbox.kubernetes.delete("Namespace", namespace)
    team = {**SHOP, "names": {**NAMES, "namespace": "new-shop"}}
    grants = granted(
        "shop", **{**GRANTED["policy"]["grants"][0], "namespaces": ["new-shop", "batch"]}
    )
    grants["policy"]["grants"][0]["teams"] = ["shop"]
    named.declare(team, {"name": "data"}, platform=grants)
    named.onboard("shop")
    assert named.can_log_in("harbor-pullsecret", "new-shop")


# Isolation


THEFTS: list[Data] = [
    {"namespace": "team-data"},
    {"project": "team-data"},
    {"further_namespaces": {"jobs": "team-data"}},
    {"namespace": "kube-system"},
    {"namespace": "harbor"},
    {"project": "library"},
    {"clients": {"web": "admin-cli"}},
    {"clients": {"web": "team-data-web"}},
]


@pytest.mark.parametrize("names", THEFTS, ids=json.dumps)
@pytest.mark.parametrize("is_general", [False, True], ids=["no grant", "a limit for all"])
def test_a_name_of_another_team_or_of_the_platform_is_refused_before_any_call(
    names: Data, is_general: bool, named: Bench
) -> None:
    """Also if the policy lets all teams carry such a name."""
    client = {"web": {"redirect_uris": ["https://mallory.example.com/cb"]}}
    mallory = {
        "name": "mallory",
        "names": names,
        "oidc_clients": client,
        "further_namespaces": {"jobs": {}},
    }
    data = {
        "name": "data",
        "oidc_clients": {"web": {"redirect_uris": ["https://d.example.com/cb"]}},
    }
    limits = {
        "namespaces": ["team-data", "kube-system", "harbor"],
        "projects": ["team-data", "library"],
        "clients": ["admin-cli", "team-data-web"],
    }
    policy = {**GRANTED["policy"], **({"limits": limits} if is_general else {})}
    with pytest.raises(DeclarationError):
        named.declare(SHOP, data, mallory, platform={**GRANTED, "policy": policy})
    named.sandbox.requests.reset()
    state = declared.read(named.folder)
    assert set(state.teams) == {"shop", "data"}
    assert {fault.partition(":")[0] for fault in state.faults} == {"teams/mallory.yaml"}
    assert named.sandbox.requests.total() == 0


def test_a_granted_name_that_another_team_holds_is_refused_by_its_mark(named: Bench) -> None:
    """A grant does not give a team what carries another team's mark."""
    grants = granted("mallory", namespaces=["team-data"], projects=["team-data"], adopt="yes")
    grants["policy"]["grants"] += GRANTED["policy"]["grants"]
    names = {"namespace": "team-data", "project": "team-data"}
    named.declare(SHOP, {"name": "mallory", "names": names, "adopt": "yes"}, platform=grants)
    before = base64.b64encode(repr(named.login("harbor-pull", "team-data")).encode())
    with pytest.raises(NotOurs, match="it belongs to team 'data', by its mark"):
        named.onboard("mallory")
    after = base64.b64encode(repr(named.login("harbor-pull", "team-data")).encode())
    assert before == after
    found: Any = named.sandbox.kubernetes.get("Namespace", "team-data")
    assert found["metadata"]["labels"]["tenantry.io/team"] == "data"
